"""The reference is found beside its launcher, and each of the two is what it is said to be."""

from pathlib import Path

import pytest

from benchmarks.reference_program import VARIABLE, Found, Missing, ensure_reference


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def installed(tmp_path: Path) -> tuple[Path, Path]:
    """Return the paths of a launcher and of a native program, as npm lays them out."""
    packages = tmp_path / "node_modules"
    native = program(packages / "@openai" / "codex-linux-x64" / "vendor" / "a-triple" / "bin" / "codex")
    script = program(packages / "@openai" / "codex" / "bin" / "codex.js")
    link = packages / ".bin" / "codex"
    link.parent.mkdir()
    link.symlink_to(script)
    return link, native


def test_the_native_program_is_found_beside_its_launcher(
    installed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    link, native = installed
    monkeypatch.setenv(VARIABLE, str(link))
    assert ensure_reference() == Found(str(native), native=True)
    assert ensure_reference(launcher=True) == Found(str(link.resolve()), native=False)


def test_a_native_program_that_is_named_has_no_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = program(tmp_path / "codex")
    monkeypatch.setenv(VARIABLE, str(alone))
    assert ensure_reference() == Found(str(alone), native=True)
    assert isinstance(ensure_reference(launcher=True), Missing)


def test_what_is_named_has_to_be_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "missing"))
    assert isinstance(ensure_reference(), Missing)

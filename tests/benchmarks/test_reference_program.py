"""The reference is found beside its launcher, and each of the two is what it is said to be."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks import reference_program
from benchmarks.reference_program import VARIABLE, Found, Missing, Release, ensure_reference

NPM = """\
#!/bin/sh
echo "$*" >> {log}
mkdir -p {place}/node_modules/.bin
: > {place}/node_modules/.bin/codex
sleep 0.1
chmod 755 {place}/node_modules/.bin/codex
"""


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


def test_of_those_that_need_it_at_once_one_installs_it_and_all_find_it_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = Release("1.2.3", "VARIABLE_OF_THIS_TEST", tmp_path / "reference" / "newest")
    monkeypatch.setattr(reference_program, "PLACE", tmp_path / "reference")
    npm, log = tmp_path / "bin" / "npm", tmp_path / "log"
    program(npm).write_text(NPM.format(log=log, place=release.place), encoding="utf-8")
    monkeypatch.setenv("PATH", str(npm.parent), prepend=":")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ensure_reference(release=release), range(4)))
    assert found == [Found(str(release.place / "node_modules" / ".bin" / "codex"), native=True)] * 4
    assert len(log.read_text(encoding="utf-8").splitlines()) == 1
    assert "@openai/codex@1.2.3" in log.read_text(encoding="utf-8")
    assert ensure_reference(release=release) == found[0]

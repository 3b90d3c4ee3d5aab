"""A release is refused unless it fits, and its workflow signs with its identity and no secret."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from greenroom.protocol.version import __version__
from tests.packaging.test_distribution import contents

ROOT = Path(__file__).parents[2]
WORKFLOW = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")


def load(name: str) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, ROOT / "tools" / "release" / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


release, commit = load("release"), load("commit")
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n## 1.2.3 - 2026-12-01\n\n### Added\n\n- It.\n\n## [1.2.2]\n\n- Old.\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "protocol").mkdir()
    (tmp_path / "protocol" / "version.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def test_the_version_is_that_of_the_program() -> None:
    assert release.version(ROOT) == __version__


def test_the_notes_are_the_section_of_the_version(source: Path) -> None:
    assert release.notes(source, "v1.2.3") == "### Added\n\n- It.\n"
    assert release.notes(source, "v1.2.2") == "- Old.\n"


@pytest.mark.parametrize(
    ("tag", "changes", "why"),
    [
        ("v1.2.2", "", "is not v1.2.3"),
        ("1.2.3", "", "is not v1.2.3"),
        ("v1.2.3", " M README.md", "has changes"),
    ],
)
def test_what_does_not_fit_is_refused(source: Path, tag: str, changes: str, why: str) -> None:
    with pytest.raises(release.UnfitError, match=why):
        release.check(source, tag, changes)


@pytest.mark.parametrize("text", ["# Changelog\n", "## 1.2.3\n\n## 1.2.2\n- Old.\n", "## 1.2.30\n- Other.\n"])
def test_a_version_without_notes_is_refused(source: Path, text: str) -> None:
    (source / "CHANGELOG.md").write_text(text)
    with pytest.raises(release.UnfitError, match="no section"):
        release.check(source, "v1.2.3", "")


def test_one_that_fits_is_not(source: Path) -> None:
    release.check(source, "v1.2.3", "")


def test_what_distributions_lack_is_named(built: Path) -> None:
    (wheel,), (sdist,) = built.glob("*.whl"), built.glob("*.tar.gz")
    known = commit.described(str(ROOT))
    lacking = list(release.problems(wheel, sdist, __version__))
    assert [text for text in lacking if not text.endswith("commit")] == []
    assert bool(lacking) == (known is None)
    if known is not None:
        assert contents(wheel)["greenroom/commit"].decode().strip() == known
        assert re.fullmatch(r"[0-9a-f]{40}(\+changes)?", known)
    assert [text.split()[0] for text in release.problems(wheel, sdist, "9.9.9")] != []


def test_checksums_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"b")
    (tmp_path / "a").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert release.checksums([tmp_path / "b", tmp_path / "a"]).splitlines()[0] == f"{empty}  a"


class TestWorkflow:
    def test_it_knows_no_secret(self) -> None:
        assert "secrets." not in WORKFLOW
        assert re.search(r"(?i)password|api[-_]token", WORKFLOW) is None

    def test_every_action_is_that_of_a_release_or_a_commit(self) -> None:
        used = re.findall(r"uses: (\S+)", WORKFLOW)
        assert len(used) > 5
        assert [one for one in used if not re.fullmatch(r"[\w./-]+@(v\d+|release/v\d+|[0-9a-f]{40})", one)] == []

    def test_every_job_has_a_time_limit_and_the_rights_that_it_needs_and_no_others(self) -> None:
        jobs = dict(re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", WORKFLOW.partition("\njobs:\n")[2], re.MULTILINE))
        assert list(jobs) == ["check", "build", "publish", "announce"]
        assert "\npermissions: {}\n" in WORKFLOW
        rights = {
            name: set(re.findall(r"^      ([\w-]+: (?:write|read))", text, re.MULTILINE)) for name, text in jobs.items()
        }
        assert rights == {
            "check": {"contents: read"},
            "build": {"contents: read", "id-token: write", "attestations: write"},
            "publish": {"id-token: write"},
            "announce": {"contents: write"},
        }
        assert all("timeout-minutes:" in text for text in jobs.values())

    def test_what_is_published_was_attested_and_a_person_decides(self) -> None:
        order = [WORKFLOW.index(word) for word in ("attest-build-provenance", "upload-artifact", "environment: pypi")]
        assert order == sorted(order)

    def test_the_programs_that_it_runs_are_there(self) -> None:
        run = re.findall(r"(?:run: |python3? )(\S+\.py|\.ci/run)", WORKFLOW)
        assert {*run} == {".ci/run", "tools/release/release.py"}
        assert [name for name in run if not (ROOT / name).is_file()] == []

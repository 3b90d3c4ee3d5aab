"""What a node is told of the home restricts its workers as much as it would at home."""

import tomllib
from pathlib import Path

import pytest

from greenroom.config.reader import Reader
from greenroom.config.rules.rules_files import MAX_FILES, find_rules
from greenroom.supervisor.processes.nodes.openings import MAX_BYTES, UNSENT, home_files


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rules").mkdir()
    return tmp_path


def test_files_of_the_home_are_sent_as_they_are(home: Path) -> None:
    assert home_files(str(home)) == {}
    (home / "config.toml").write_text('model = "m"')
    (home / "rules" / "a.rules").write_text("# none")
    (home / "rules" / "b.txt").write_text("no rules")
    assert home_files(str(home)) == {"config.toml": 'model = "m"', "rules/a.rules": "# none"}


@pytest.mark.parametrize("content", [b"#" * (MAX_BYTES + 1), b"\xff"])
def test_what_cannot_be_sent_is_refused_there_as_it_is_at_home(home: Path, content: bytes) -> None:
    for name in ("config.toml", "rules/a.rules"):
        (home / name).write_bytes(content)
    files = home_files(str(home))
    assert files == {"config.toml": UNSENT, "rules/a.rules": UNSENT}
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(UNSENT)


def test_a_directory_in_place_of_rules_and_too_many_of_them_are_faults_there_too(home: Path, tmp_path: Path) -> None:
    for number in range(MAX_FILES + 5):
        (home / "rules" / f"{number:03}.rules").write_text("# none")
    (home / "rules" / "000.rules").unlink()
    (home / "rules" / "000.rules").mkdir()
    files = home_files(str(home))
    assert files["rules/000.rules"] == UNSENT
    assert len(files) == MAX_FILES + 1


def test_no_rule_allows_a_command_where_one_could_not_be_sent(home: Path) -> None:
    for name, text in {"a": UNSENT, "b": 'prefix_rule(pattern=["git"], decision="allow")'}.items():
        (home / "rules" / f"{name}.rules").write_text(text)
    found = find_rules(str(home), None, Reader(str(home)))
    assert "no rule allows a command" in "".join(found.warnings)

"""A rule that an answer makes: asked for once, kept in the home, and never wider than what was proposed."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.reader import Reader
from greenroom.config.rules.rules_files import find_rules
from greenroom.config.rules.rules_language import MAX_BYTES, parse_rules
from greenroom.protocol.approval import CommandQuestion, Decision
from greenroom.workers.tools import rule_file
from greenroom.workers.tools.rule_file import FILE, keep_rule
from tests.workers.tools.conftest import Conversations

TEXT = st.text(st.characters(codec="utf-8"), min_size=1)


def kept(home: Path) -> list[tuple[str, ...]]:
    found = find_rules(str(home), None, Reader(str(home)))
    assert found.warnings == ()
    return list(found.rules.allowed_prefixes)


def test_rules_are_added_to_the_file_of_the_home(tmp_path: Path) -> None:
    keep_rule(str(tmp_path), ["git", "push"])
    file = tmp_path / "rules" / FILE
    file.write_text(file.read_text() + '# mine\nprefix_rule(pattern=["make"])')
    keep_rule(str(tmp_path), ["a b"])
    assert kept(tmp_path) == [("git", "push"), ("make",), ("a b",)]
    assert "# mine\n" in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


@given(st.lists(TEXT, min_size=1, max_size=4))
def test_what_is_written_is_read_back(words: list[str]) -> None:
    line = rule_file.rule_line(words)
    (rule,) = parse_rules(line).prefixes
    assert rule.pattern == tuple((word,) for word in words)
    assert line.count("\n") == 1


def test_a_link_and_a_file_that_is_too_large_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("")
    (tmp_path / "rules").mkdir()
    file = tmp_path / "rules" / FILE
    file.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        keep_rule(str(tmp_path), ["git"])
    assert outside.read_text() == ""
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(OSError, match="no regular file"):
        keep_rule(str(tmp_path), ["git"])
    file.unlink()
    file.write_text("#" * (MAX_BYTES - 5))
    size = os.path.getsize(file)
    with pytest.raises(OSError, match="bytes"):
        keep_rule(str(tmp_path), ["git"])
    assert os.path.getsize(file) == size


def escalated(command: str) -> dict[str, object]:
    return {"command": ["sh", "-c", command], "with_escalated_permissions": True, "justification": "why"}


def test_a_rule_is_asked_for_once_and_lasts(begin: Conversations, tmp_path: Path) -> None:
    one = begin(
        policy="on-request",
        mode="workspace-write",
        home=str(tmp_path),
        cwd=str(tmp_path),
        answers=[Decision(verdict="approved", rule=("echo", "a"))],
    )
    for arguments in (escalated("echo a b"), escalated("echo a c")):
        assert one.run(**arguments).success
    (question,) = one.questions
    assert isinstance(question, CommandQuestion)
    assert question.proposed_rule == ["echo", "a", "b"]
    assert one.ways == (0, 2)
    assert kept(tmp_path) == [("echo", "a")]


def test_where_no_rule_can_be_saved_none_is_proposed_and_none_is_made(begin: Conversations, tmp_path: Path) -> None:
    answers = [Decision(verdict="approved", rule=("echo", "a")), Decision(verdict="denied")]
    one = begin(policy="on-request", mode="workspace-write", cwd=str(tmp_path), answers=answers, keeps_rules=False)
    assert one.run(**escalated("echo a b")).success
    assert not one.run(**escalated("echo a c")).success, "it is asked about again"
    assert [question.proposed_rule for question in one.questions if isinstance(question, CommandQuestion)] == [None] * 2


@pytest.mark.parametrize("rule", [("rm",), ("echo", "b"), ("echo", "a", "b", "c")])
def test_a_rule_that_was_not_proposed_is_not_made(begin: Conversations, tmp_path: Path, rule: tuple[str, ...]) -> None:
    one = begin(
        policy="on-request",
        mode="workspace-write",
        home=str(tmp_path),
        cwd=str(tmp_path),
        answers=[Decision(verdict="approved", rule=rule)],
    )
    assert one.run(**escalated("echo a b")).success
    assert "not made" in str(one.event("warning")["message"])
    assert not (tmp_path / "rules").exists()

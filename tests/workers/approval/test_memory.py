"""Promises about what was approved for the session."""

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.approval.memory import ApprovedCommands

ARGVS = st.lists(st.text(max_size=3), max_size=3)


@given(st.lists(ARGVS), ARGVS)
def test_only_the_very_same_argv_is_known(approved: list[list[str]], asked: list[str]) -> None:
    memory = ApprovedCommands()
    for argv in approved:
        memory.remember(argv)
    assert memory.knows(asked) is (asked in approved)


def test_joined_words_are_another_command() -> None:
    memory = ApprovedCommands()
    memory.remember(["rm", "a b"])
    assert not memory.knows(["rm", "a", "b"])


@given(st.lists(ARGVS), st.lists(ARGVS), ARGVS)
def test_a_question_is_spared_where_it_was_answered_or_the_command_approved(
    approved: list[list[str]], confirmed: list[list[str]], asked: list[str]
) -> None:
    memory = ApprovedCommands()
    for argv in approved:
        memory.remember(argv)
    for argv in confirmed:
        memory.confirm(argv)
    assert memory.confirmed(asked) is (asked in approved or asked in confirmed)
    assert memory.knows(asked) is (asked in approved), "an answered question is no approval"


def test_rules_are_kept_in_their_order() -> None:
    memory = ApprovedCommands()
    memory.allow(["git", "push"])
    memory.allow(["make"])
    assert memory.prefixes == (("git", "push"), ("make",))

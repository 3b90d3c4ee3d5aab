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

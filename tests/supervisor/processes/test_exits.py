"""A death is put into words for people and into numbers for programs."""

import pytest

from greenroom.protocol.ids import ConversationId, WorkerId
from greenroom.protocol.internal.process import Exited
from greenroom.supervisor.processes.exits import REMEMBERED, ExitHistory, cause, exit_facts


def exited(returncode: int, name: str = "w") -> Exited:
    return Exited(id=WorkerId(name), pid=5, returncode=returncode, max_rss=1)


@pytest.mark.parametrize(
    ("returncode", "words"),
    [
        (0, "exit status 0"),
        (1, "exit status 1"),
        (-9, "signal 9 (SIGKILL)"),
        (-11, "signal 11 (SIGSEGV)"),
        (-63, "signal 63"),
    ],
)
def test_the_cause_is_named(returncode: int, words: str) -> None:
    assert cause(exited(returncode)) == words


def test_a_program_reads_the_signal_or_the_status() -> None:
    assert exit_facts(exited(-9)) == {"signal": 9, "exitCode": None, "pid": 5}
    assert exit_facts(exited(3)) == {"signal": None, "exitCode": 3, "pid": 5}


def test_the_last_deaths_are_remembered() -> None:
    exit_history = ExitHistory()
    for number in range(REMEMBERED + 5):
        exit_history.enter(exited(-9, f"w-{number}"), "idle", conversation_id=ConversationId(f"c-{number % 2}"))
    deaths = list(exit_history)
    assert len(deaths) == REMEMBERED
    assert deaths[-1].process == f"w-{REMEMBERED + 4}"
    last = exit_history.of(ConversationId("c-0"))
    assert last is not None
    assert last.process == f"w-{REMEMBERED + 4}"
    assert exit_history.of(ConversationId("nobody")) is None

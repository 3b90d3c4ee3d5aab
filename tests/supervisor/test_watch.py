"""What hangs and what holds too much is found, and nothing else."""

import os

from protocol.ids import ConversationId
from supervisor.conversation import Conversation, Pulse
from supervisor.limits import Limits
from supervisor.watch import overdue, overweight, resident_memory


def _running(heard_at: float) -> Conversation:
    conversation = Conversation(ConversationId("c"), b"{}", resume="no")
    conversation.pulse = Pulse(heard_at=heard_at, started_at=0.0, doing="waiting for the model")
    return conversation


def test_silence_beyond_the_limit_is_told_with_what_was_done() -> None:
    limits = Limits(hang_after=10.0)
    silent, heard = _running(heard_at=0.0), _running(heard_at=5.0)
    assert list(overdue([silent, heard], limits, now=12.0)) == [
        (silent, "hung: no sign of life for 12 s while waiting for the model")
    ]


def test_a_conversation_without_a_turn_is_never_overdue() -> None:
    idle = Conversation(ConversationId("c"), b"{}", resume="no")
    assert list(overdue([idle], Limits(), now=1e9)) == []


def test_memory_is_judged_by_the_limit() -> None:
    limits = Limits(worker_memory=100 << 20)
    assert overweight(100 << 20, limits) is None
    assert overweight(150 << 20, limits) == "over its memory limit: 150 MiB of 100 MiB"


def test_memory_of_a_process_is_seen_from_outside() -> None:
    assert resident_memory(os.getpid()) > 1 << 20
    assert resident_memory(2**22 + 1) == 0

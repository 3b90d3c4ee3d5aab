"""What hangs is found, and nothing else."""

from greenroom.config.defaults import Limits
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.worker.notices import TurnProgress
from greenroom.supervisor.conversations.state.conversation import Conversation, Pulse
from greenroom.supervisor.conversations.watchdog import overdue_conversations


def _running(heard_at: float) -> Conversation:
    conversation = Conversation(ConversationId("c"), b"{}", resume="no")
    conversation.pulse = Pulse(heard_at=heard_at, started_at=0.0, progress=TurnProgress(doing="waiting for the model"))
    return conversation


def test_silence_beyond_the_limit_is_told_with_what_was_done() -> None:
    limits = Limits(hang_after=10.0)
    silent, heard = _running(heard_at=0.0), _running(heard_at=5.0)
    assert list(overdue_conversations([silent, heard], limits, now=12.0)) == [
        (silent, "hung: no sign of life for 12 s while waiting for the model")
    ]


def test_a_conversation_without_a_turn_is_never_overdue() -> None:
    idle = Conversation(ConversationId("c"), b"{}", resume="no")
    assert list(overdue_conversations([idle], Limits(), now=1e9)) == []

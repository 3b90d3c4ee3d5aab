"""Resumes a conversation from its session file: settings, history and counters continue where the file ends."""

import os
from collections.abc import Mapping
from typing import Final

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionUnknownError
from greenroom.protocol.internal.worker.operations import Open
from greenroom.sessions.records.consumption import Consumption
from greenroom.sessions.records.restored import Restored
from greenroom.sessions.storage.file import read
from greenroom.sessions.storage.finder import find_listed
from greenroom.workers.conversation.prompt import prompt
from greenroom.workers.conversation.transcript import Transcript
from greenroom.workers.model.responses import ResponseUsage

UNKNOWN_EFFECT: Final = "interrupted; it is not known whether this took effect"
"""The output of a call during which its process died, as the model reads it."""


class ResumedSession(msgspec.Struct, frozen=True):
    """What a session file says of its conversation."""

    restored: Restored
    path: str
    used_tokens: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict)
    """What the conversation has used itself, by model (`greenroom.sessions.records.consumption`)."""

    @property
    def usage(self) -> ResponseUsage | None:
        """Tokens that the conversation has used; `None` where the file does not say."""
        totals = self.restored.usage
        return None if totals is None else _usage(totals)

    @property
    def usage_by_model(self) -> Mapping[str, ResponseUsage]:
        """Tokens that it has used itself, by model: without what a fork has copied."""
        return {model: _usage(counts) for model, counts in self.used_tokens.items()}

    def close_interrupted_turn(self, transcript: Transcript) -> None:
        """Answer the calls that have no output, and tell the model that the turn is over, where the file has no end."""
        if not self.restored.interrupted:
            return
        for output in transcript.history.outputs_for_unanswered(UNKNOWN_EFFECT):
            transcript.add(output)
        transcript.add(prompt.turn_aborted_message())


def _usage(counts: Mapping[str, int]) -> ResponseUsage:
    return ResponseUsage(**{name: int(counts.get(name, 0)) for name in ResponseUsage.__struct_fields__})


def resumed_session(operation: Open, home: str, reader: Reader) -> ResumedSession | None:
    """Return the session that `operation` resumes, if any.

    Raises `SessionUnknownError` where it must exist and does not, or `SessionFileError`.
    """
    if operation.resume == "no":
        return None
    path = operation.path or find_listed(home, operation.conversation_id)
    if path is not None:
        path = os.path.realpath(path)  # so that the file that is read is also written, even if a link changes
        consumption = Consumption()
        return ResumedSession(read(reader, path, consumption), path, consumption.by_model)
    if operation.resume == "must":
        raise SessionUnknownError(f"no conversation with id: {operation.conversation_id}")
    return None

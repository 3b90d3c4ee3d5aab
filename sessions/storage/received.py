"""The session records that a worker on another machine sends, as far as the host writes them. Free of I/O.

A worker tells what was said and done. What its conversation may do is known at home, and written from there: whoever
has the other machine could otherwise have the conversation go on with more rights, at home or elsewhere.
"""

from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from greenroom.config.tables.sandbox import ConfinementPolicy
from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.ids import TurnId
from greenroom.protocol.policy import ApprovalPolicy
from greenroom.sessions.records.format import STORED_EVENTS, HistoryMode, SessionRecord, turn_context

T = TypeVar("T")

HOST_EVENTS: Final = frozenset({"thread_rolled_back", "thread_settings_applied"})
"""Types of stored events that no worker records: they take answered turns back, or change settings."""
_LONGEST: Final = 100
"""Characters of a name in an error."""


class TurnAuthority(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn may do, and where, in the host's terms."""

    cwd: str
    model: str
    approval_policy: ApprovalPolicy
    sandbox_policy: ConfinementPolicy


class _Line(msgspec.Struct, frozen=True):
    type: str
    payload: msgspec.Raw


class _Object(msgspec.Struct, frozen=True):
    pass


class _Tagged(msgspec.Struct, frozen=True):
    type: str


class _Context(msgspec.Struct, frozen=True):
    """The members of `turn_context` that a worker tells itself."""

    turn_id: TurnId
    effort: str | None = None


_END: Final = _Line("", msgspec.Raw(b""))


def received_records(
    lines: bytes, authority: TurnAuthority, mode: HistoryMode = "legacy", *, begins_file: bool = False
) -> list[SessionRecord]:
    """Return what is to be written of the lines of a worker, whose times and ordinals are left to the writer.

    The settings of turns are those of `authority`. The metadata that the lines begin with where they begin a file are
    left out: the host has its own. Raises `RemoteProtocolError` for what no worker sends.
    """
    if lines and not lines.endswith(b"\n"):
        raise RemoteProtocolError("records that do not end with their line")
    received = [_decode(line, _Line) for line in lines.split(b"\n")[:-1]]
    if begins_file and (not received or received.pop(0).type != "session_meta"):
        raise RemoteProtocolError("the records of a new conversation without its metadata")
    for line, following in pairwise((*received, _END)):
        if line.type == "compacted" and following.type != "turn_context":  # the history would have no settings left
            raise RemoteProtocolError("a compacted history without the settings of its turn")
    return [_record(line, authority, mode) for line in received]


def _record(line: _Line, authority: TurnAuthority, mode: HistoryMode) -> SessionRecord:
    match line.type:
        case "response_item":
            _decode(line.payload, _Tagged)
            return SessionRecord("response_item", line.payload)
        case "compacted":
            _decode(line.payload, _Object)
            return SessionRecord("compacted", line.payload)
        case "event_msg":
            event = _decode(line.payload, _Tagged).type
            if event not in STORED_EVENTS[mode] or event in HOST_EVENTS:
                raise RemoteProtocolError(f"an event that no worker records: {event[:_LONGEST]!r}")
            return SessionRecord("event_msg", line.payload)
        case "turn_context":
            told = _decode(line.payload, _Context)
            return turn_context(
                turn_id=told.turn_id,
                cwd=authority.cwd,
                model=authority.model,
                approval_policy=authority.approval_policy,
                sandbox_policy=msgspec.to_builtins(authority.sandbox_policy),
                effort=told.effort,
            )
        case _:
            raise RemoteProtocolError(f"a record that no worker sends: {line.type[:_LONGEST]!r}")


def _decode(data: bytes | msgspec.Raw, form: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RemoteProtocolError(f"a record of an unknown form: {error}") from None

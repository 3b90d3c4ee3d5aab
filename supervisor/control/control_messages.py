"""The requests on the control socket and their answers: one line of JSON each way, then the connection ends or goes on
in another form.

Tagged structs rather than pydantic models: every supervisor imports these at its start, and uses few of them.
"""

from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.telemetry.metric import Family

MAX_REQUEST: Final = 4096
"""Bytes of a request, newline included."""


class GiveReport(
    msgspec.Struct, frozen=True, tag_field="do", tag="status", forbid_unknown_fields=True, omit_defaults=True
):
    """Report the state of the instance (`greenroom.protocol.report`)."""

    measure: bool = True
    """Whether each process is asked for its footprint, which costs it a millisecond. If not, the footprints are those
    of the last time."""


class StopInstance(msgspec.Struct, frozen=True, tag_field="do", tag="stop", forbid_unknown_fields=True):
    """End as if the client had left."""


class InterruptConversation(msgspec.Struct, frozen=True, tag_field="do", tag="interrupt", forbid_unknown_fields=True):
    """End the turn that runs; those that wait for it then run."""

    conversation_id: ConversationId


class KillConversation(msgspec.Struct, frozen=True, tag_field="do", tag="kill", forbid_unknown_fields=True):
    """Kill the worker of a conversation. Its running turn fails as `worker_crashed`; the next turn starts another."""

    conversation_id: ConversationId


class GiveMetrics(msgspec.Struct, frozen=True, tag_field="do", tag="metrics", forbid_unknown_fields=True):
    """Tell all metrics (`greenroom.protocol.telemetry.metrics`)."""


class ListApprovals(msgspec.Struct, frozen=True, tag_field="do", tag="approvals", forbid_unknown_fields=True):
    """Tell what waits for a decision of the user, where the settings allow operators to decide."""

    full: bool = False
    """Whether texts are told at full length."""


class DecideApproval(msgspec.Struct, frozen=True, tag_field="do", tag="approve", forbid_unknown_fields=True):
    """Decide what waits for a decision of the user."""

    approval_id: str
    choice: str
    note: str = ""


class InterruptClient(msgspec.Struct, frozen=True, tag_field="do", tag="interrupt_client", forbid_unknown_fields=True):
    """End the turns of a client, those that run and those that wait."""

    client_id: str


class DisconnectClient(msgspec.Struct, frozen=True, tag_field="do", tag="disconnect", forbid_unknown_fields=True):
    """Treat a client as one that has left."""

    client_id: str


HAND_OVER_VERSION: Final = 1
"""The version of what an old host and a new one say to each other (`greenroom.supervisor.startup.replacement`)."""


class HandOver(msgspec.Struct, frozen=True, tag_field="do", tag="hand_over"):
    """Let the process that asks replace this host. Unless it is refused, the connection goes on in another form."""

    version: int
    """`HAND_OVER_VERSION` of the new host."""
    program: str = ""
    """The version of its program, for people."""


class WatchConversation(msgspec.Struct, frozen=True, tag_field="do", tag="watch", forbid_unknown_fields=True):
    """Tell the events of a conversation as they come. Unless it is refused, the connection goes on in another form
    (`greenroom.supervisor.control.watch_messages`)."""

    conversation_id: ConversationId


class DrainNode(msgspec.Struct, frozen=True, tag_field="do", tag="drain", forbid_unknown_fields=True):
    """Start nothing on a node any more, and let it leave once its conversations have."""

    name: str


class CheckNodeKeys(msgspec.Struct, frozen=True, tag_field="do", tag="check-node-keys", forbid_unknown_fields=True):
    """Look at once which nodes are known yet, and drop the others."""


ControlAction: TypeAlias = (
    StopInstance
    | InterruptConversation
    | KillConversation
    | DecideApproval
    | InterruptClient
    | DisconnectClient
    | DrainNode
    | CheckNodeKeys
)
ControlRequest: TypeAlias = GiveReport | GiveMetrics | ListApprovals | HandOver | WatchConversation | ControlAction


class Reported(msgspec.Struct, frozen=True, tag_field="answer", tag="report"):
    """Answers `GiveReport`."""

    report: msgspec.Raw
    """A `greenroom.protocol.report.Report`."""


class ApprovalsListed(msgspec.Struct, frozen=True, tag_field="answer", tag="approvals"):
    """Answers `ListApprovals`."""

    approvals: list[dict[str, object]]
    """As the tool `codex-approvals` has them, the oldest first."""


class MetricsReported(msgspec.Struct, frozen=True, tag_field="answer", tag="metrics"):
    """Answers `GiveMetrics`."""

    families: list[Family]


class ActionDone(msgspec.Struct, frozen=True, tag_field="answer", tag="done"):
    """An action has been started, or there was nothing left to do."""

    text: str
    within: float = 0.0
    """Seconds that it may take until it is done, beyond what such an action takes anyway."""


class ActionRefused(msgspec.Struct, frozen=True, tag_field="answer", tag="refused"):
    """Nothing was done."""

    text: str
    """The reason, and what else to do."""


ControlAnswer: TypeAlias = ActionDone | ActionRefused
ControlReply: TypeAlias = Reported | MetricsReported | ApprovalsListed | ControlAnswer

_encode: Final = msgspec.json.Encoder().encode
_decode_request: Final = msgspec.json.Decoder(ControlRequest).decode
_decode_reply: Final = msgspec.json.Decoder(ControlReply).decode


def control_line(message: ControlRequest | ControlReply) -> bytes:
    """Return the line of a message."""
    return _encode(message) + b"\n"


def read_control_request(data: bytes) -> ControlRequest:
    """Decode a request. Raises `ValueError`."""
    request: ControlRequest = _decode_request(data)
    return request


def read_control_reply(data: bytes) -> ControlReply:
    """Decode a reply. Raises `ValueError`."""
    reply: ControlReply = _decode_reply(data)
    return reply

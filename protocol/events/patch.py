"""Events about the agent's patches."""

from msgspec import UNSET, UnsetType

from greenroom.protocol.events.event import Event, Milliseconds
from greenroom.protocol.events.file_change import ChangesByPath


class ApplyPatchApprovalRequest(Event, tag="apply_patch_approval_request"):
    """A patch needs the user's approval; `elicitation/create` follows."""

    turn_id: str
    started_at_ms: Milliseconds
    call_id: str
    changes: ChangesByPath
    reason: str | UnsetType = UNSET


class PatchApplyBegin(Event, tag="patch_apply_begin"):
    """A patch is about to be applied; `auto_approved` if the user was not asked."""

    call_id: str
    turn_id: str
    auto_approved: bool
    changes: ChangesByPath


class PatchApplyEnd(Event, tag="patch_apply_end"):
    """A patch was applied, or failed."""

    call_id: str
    turn_id: str
    changes: ChangesByPath
    success: bool
    stdout: str
    stderr: str
    status: str


class TurnDiff(Event, tag="turn_diff"):
    """The net diff of the turn's patches so far, sent after each patch and each later response of the turn."""

    unified_diff: str

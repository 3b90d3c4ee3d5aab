"""What the turns of a thread go by: as its worker has announced it, and as the client has changed it since.

A setting that is not supported is refused by name: a client must not believe that it is in force.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from greenroom.protocol.app_server import thread as wire
from greenroom.protocol.app_server.threads import Overrides
from greenroom.protocol.app_server.turns import TurnStartParams
from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.internal.worker.operations import TurnSandbox, TurnSettings
from greenroom.protocol.jsonrpc import INVALID_REQUEST, encode
from greenroom.protocol.policy import ApprovalPolicy, Reviewer
from greenroom.supervisor.frontend.app_server.settings.permission_profiles import profile_mode
from greenroom.supervisor.frontend.request_params import RefusedError

_POLICIES: Final[Mapping[str, ApprovalPolicy]] = {
    "untrusted": "untrusted",
    "on-failure": "on-failure",
    "on-request": "on-request",
    "never": "never",
}
_FORM: Final = {"greenroom.event_form": "current"}
"""The form of events that has items, whatever the configuration says."""


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the next turn."""

    model: str
    provider: str
    cwd: str
    approval_policy: ApprovalPolicy
    reviewer: Reviewer
    sandbox: TurnSandbox
    effort: str | None = None
    summary: str | None = None
    is_changed: bool = False
    """Whether the client has changed any since the conversation was opened."""

    @classmethod
    def announced(cls, event: SessionConfigured) -> "SessionSettings":
        """Return the settings that a worker has announced."""
        effort = event.reasoning_effort
        return cls(
            model=event.model,
            provider=event.model_provider_id,
            cwd=event.cwd,
            approval_policy=_POLICIES[event.approval_policy],
            reviewer="auto_review" if event.approvals_reviewer == "auto_review" else "user",
            sandbox=msgspec.convert(event.sandbox_policy, TurnSandbox),
            effort=None if isinstance(effort, msgspec.UnsetType) else effort,
        )

    def changed(self, params: TurnStartParams) -> "SessionSettings":
        """Return them with what a client has changed. Raises `RefusedError`."""
        changes: dict[str, Any] = {
            "model": params.model,
            "cwd": params.cwd,
            "approval_policy": None if params.approval_policy is None else read_policy(params.approval_policy),
            "reviewer": read_reviewer(params.approvals_reviewer),
            "sandbox": _wanted_sandbox(params),
            "effort": params.effort,
            "summary": params.summary,
        }
        return self._with(changes)

    def overridden(self, params: Overrides) -> "SessionSettings":
        """Return them with what a client has asked for that takes up a thread in use. Raises `RefusedError`."""
        wanted = profile_mode(params.permissions, params.sandbox) or params.sandbox
        is_other = wanted not in (None, self.sandbox.type)
        changes: dict[str, Any] = {
            "model": params.model,
            "cwd": params.cwd,
            "approval_policy": None if params.approval_policy is None else read_policy(params.approval_policy),
            "reviewer": read_reviewer(params.approvals_reviewer),
            "sandbox": TurnSandbox(type=wanted) if is_other and wanted is not None else None,
        }
        return self._with(changes)

    def _with(self, changes: Mapping[str, Any]) -> "SessionSettings":
        given = {name: value for name, value in changes.items() if value not in (None, getattr(self, name))}
        return msgspec.structs.replace(self, **given, is_changed=self.is_changed or bool(given))

    def for_worker(self) -> TurnSettings | None:
        """Return what a worker is told with a turn; `None` for the settings of the conversation."""
        if not self.is_changed:
            return None
        return TurnSettings(
            cwd=self.cwd,
            approval_policy=self.approval_policy,
            sandbox_policy=self.sandbox,
            model=self.model,
            summary=self.summary,
            effort=self.effort,
            reviewer=self.reviewer,
        )

    def told(self, thread: wire.Thread) -> wire.ThreadSettings:
        """Return a thread and its settings in the form of this protocol."""
        return wire.ThreadSettings(
            thread=thread,
            model=self.model,
            model_provider=self.provider,
            cwd=self.cwd,
            approval_policy=told_policy(self.approval_policy),
            approvals_reviewer=self.reviewer,
            sandbox=told_sandbox(self.sandbox),
            reasoning_effort=self.effort,
        )


def conversation_overrides(params: Overrides, skill_roots: Sequence[str] = ()) -> bytes:
    """Return the settings of a client as JSON of `greenroom.config.settings.ConversationOverrides`.

    `skill_roots`: folders in which skills are looked for beside the usual ones. Raises `RefusedError`.
    """
    provider = {} if params.model_provider is None else {"model_provider": params.model_provider}
    reviewer = {} if params.approvals_reviewer is None else {"approvals_reviewer": params.approvals_reviewer}
    values = {
        "model": params.model,
        "cwd": params.cwd,
        "approval_policy": None if params.approval_policy is None else read_policy(params.approval_policy),
        "sandbox_mode": profile_mode(params.permissions, params.sandbox) or params.sandbox,
        "config": {**(params.config or {}), **provider, **reviewer, **_FORM},
        "base_instructions": params.base_instructions,
        "developer_instructions": params.developer_instructions,
        "skill_roots": list(skill_roots) or None,
    }
    return encode({name: value for name, value in values.items() if value is not None})


def _wanted_sandbox(params: TurnStartParams) -> TurnSandbox | None:
    mode = profile_mode(params.permissions, params.sandbox_policy)
    if mode is not None:
        return TurnSandbox(type=mode)
    return None if params.sandbox_policy is None else read_sandbox(params.sandbox_policy)


def read_policy(policy: str | Mapping[str, Any]) -> ApprovalPolicy:
    """Return an approval policy of a client. Raises `RefusedError`."""
    if isinstance(policy, str) and policy in _POLICIES:
        return _POLICIES[policy]
    if isinstance(policy, str):
        raise RefusedError(INVALID_REQUEST, f"unknown approval policy: {policy}")
    raise RefusedError(INVALID_REQUEST, "approval policy `granular` is not supported")


def read_reviewer(reviewer: wire.ApprovalsReviewer | None) -> Reviewer | None:
    """Return who decides what needs consent; `None` where the client does not say."""
    return None if reviewer is None else "user" if reviewer == "user" else "auto_review"


def told_policy(policy: ApprovalPolicy) -> wire.AskForApproval:
    """Return an approval policy as clients know it; the one that they no longer know asks on request."""
    return "on-request" if policy == "on-failure" else policy


def read_sandbox(policy: wire.ThreadSandboxPolicy) -> TurnSandbox:
    """Return a sandbox of a client. Raises `RefusedError`."""
    match policy:
        case wire.DangerFullAccess():
            return TurnSandbox(type="danger-full-access")
        case wire.ReadOnly(network_access=False):
            return TurnSandbox(type="read-only")
        case wire.ReadOnly():
            raise RefusedError(INVALID_REQUEST, "sandbox policy `readOnly` with `networkAccess` is not supported")
        case wire.ExternalSandbox():
            raise RefusedError(INVALID_REQUEST, "sandbox policy `externalSandbox` is not supported")
        case wire.WorkspaceWrite():
            return TurnSandbox(
                type="workspace-write",
                writable_roots=tuple(policy.writable_roots),
                network_access=policy.network_access,
                exclude_tmpdir_env_var=policy.exclude_tmpdir_env_var,
                exclude_slash_tmp=policy.exclude_slash_tmp,
            )


def policy_members(policy: TurnSandbox) -> dict[str, object]:
    """Return a sandbox as settings have it: tagged by `type`, with the members of its type only."""
    members = msgspec.structs.asdict(policy)
    return members if policy.type == "workspace-write" else {"type": policy.type}


def told_sandbox(policy: TurnSandbox) -> wire.ThreadSandboxPolicy:
    """Return a sandbox as clients know it."""
    match policy.type:
        case "danger-full-access":
            return wire.DangerFullAccess()
        case "read-only":
            return wire.ReadOnly()
        case "workspace-write":
            return wire.WorkspaceWrite(
                writable_roots=list(policy.writable_roots),
                network_access=policy.network_access,
                exclude_tmpdir_env_var=policy.exclude_tmpdir_env_var,
                exclude_slash_tmp=policy.exclude_slash_tmp,
            )

"""Threads, turns and their settings, as clients get them."""

from typing import Any, Literal, TypeAlias

from msgspec import field

from greenroom.protocol.app_server.item import ThreadItem
from greenroom.protocol.app_server.wire import Result

ThreadTurnStatus: TypeAlias = Literal["completed", "interrupted", "failed", "inProgress"]
ItemsView: TypeAlias = Literal["notLoaded", "summary", "full"]
AskForApproval: TypeAlias = Literal["untrusted", "on-request", "never"]
ApprovalsReviewer: TypeAlias = Literal["user", "auto_review", "guardian_subagent"]
ActiveFlag: TypeAlias = Literal["waitingOnApproval", "waitingOnUserInput"]
CodexErrorInfo: TypeAlias = str | dict[str, Any]


class DangerFullAccess(Result, frozen=True, tag="dangerFullAccess", tag_field="type"):
    """No sandbox."""


class ReadOnly(Result, frozen=True, tag="readOnly", tag_field="type"):
    """Nothing may be written."""

    network_access: bool = False


class ExternalSandbox(Result, frozen=True, tag="externalSandbox", tag_field="type"):
    """The client has confined the server itself; not supported."""

    network_access: str = "restricted"


class WorkspaceWrite(Result, frozen=True, tag="workspaceWrite", tag_field="type"):
    """The working directory and some others may be written."""

    writable_roots: list[str] = field(default_factory=list)
    network_access: bool = False
    exclude_tmpdir_env_var: bool = False
    exclude_slash_tmp: bool = False


ThreadSandboxPolicy: TypeAlias = DangerFullAccess | ReadOnly | ExternalSandbox | WorkspaceWrite


class NotLoaded(Result, frozen=True, tag="notLoaded", tag_field="type"):
    """Saved, and not in use."""


class Idle(Result, frozen=True, tag="idle", tag_field="type"):
    """In use; no turn runs."""


class Faulty(Result, frozen=True, tag="systemError", tag_field="type"):
    """Its last turn has failed."""


class Active(Result, frozen=True, tag="active", tag_field="type"):
    """A turn runs."""

    active_flags: list[ActiveFlag]


ThreadStatus: TypeAlias = NotLoaded | Idle | Faulty | Active


class TurnError(Result, frozen=True):
    """Why a turn has failed."""

    message: str
    codex_error_info: CodexErrorInfo | None = None
    additional_details: str | None = None


class Turn(Result, frozen=True):
    """One turn."""

    id: str
    items: list[ThreadItem]
    status: ThreadTurnStatus
    items_view: ItemsView = "full"
    """Whether `items` holds all items, the last message alone, or nothing."""
    error: TurnError | None = None
    started_at: int | None = None
    """In seconds since the epoch, as `completed_at`."""
    completed_at: int | None = None
    duration_ms: int | None = None


class GitInfo(Result, frozen=True):
    """The repository of a thread at its start."""

    sha: str | None = None
    branch: str | None = None
    origin_url: str | None = None


class Thread(Result, frozen=True):
    """A conversation."""

    id: str
    session_id: str
    preview: str
    """The first words of the user; empty before them."""
    ephemeral: bool
    """Whether it is not saved."""
    model_provider: str
    created_at: int
    """In seconds since the epoch, as `updated_at`."""
    updated_at: int
    status: ThreadStatus
    cwd: str
    cli_version: str
    source: str
    project_id: str | None
    turns: list[Turn]
    path: str | None = None
    """Its session file."""
    name: str | None = None
    model: str | None = None
    reasoning_effort: str | None = None
    forked_from_id: str | None = None
    git_info: GitInfo | None = None
    thread_source: str | None = None


class ThreadSettings(Result, frozen=True):
    """A thread and what its turns go by: the result of `thread/start`, `thread/resume` and `thread/fork`."""

    thread: Thread
    model: str
    model_provider: str
    cwd: str
    approval_policy: AskForApproval
    approvals_reviewer: ApprovalsReviewer
    sandbox: ThreadSandboxPolicy
    reasoning_effort: str | None = None

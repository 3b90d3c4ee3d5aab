"""Params and results of the methods about threads."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Raw

from greenroom.protocol.app_server.item import ThreadItem
from greenroom.protocol.app_server.thread import ApprovalsReviewer, ItemsView, Thread, Turn
from greenroom.protocol.app_server.wire import Params, Result, ThreadParams
from greenroom.protocol.policy import SandboxMode

Limit: TypeAlias = Annotated[int, Meta(ge=0)]
SortDirection: TypeAlias = Literal["asc", "desc"]


class Overrides(Params, frozen=True):
    """Settings of a thread that win over the configuration."""

    model: str | None = None
    model_provider: str | None = None
    cwd: str | None = None
    approval_policy: str | dict[str, Any] | None = None
    approvals_reviewer: ApprovalsReviewer | None = None
    sandbox: SandboxMode | None = None
    permissions: str | None = None
    """A permission profile, in place of `sandbox`."""
    config: dict[str, Any] | None = None
    base_instructions: str | None = None
    developer_instructions: str | None = None
    personality: str | None = None
    service_tier: str | None = None


class ThreadStartParams(Overrides, frozen=True):
    """Params of `thread/start`."""

    ephemeral: bool | None = None
    service_name: str | None = None
    session_start_source: str | None = None
    thread_source: str | None = None


class ThreadResumeParams(Overrides, frozen=True, kw_only=True):
    """Params of `thread/resume`."""

    thread_id: str
    exclude_turns: bool = False


class ThreadForkParams(Overrides, frozen=True, kw_only=True):
    """Params of `thread/fork`."""

    thread_id: str
    last_turn_id: str | None = None
    """The last turn that the fork has; `None` for all that have ended."""
    ephemeral: bool = False
    exclude_turns: bool = False
    thread_source: str | None = None


class ThreadIdParams(ThreadParams, frozen=True):
    """Params of methods that only name a thread."""


class ThreadReadParams(ThreadParams, frozen=True):
    """Params of `thread/read`."""

    include_turns: bool = False


class ThreadResponse(Result, frozen=True):
    """A thread."""

    thread: Thread


class ThreadListParams(Params, frozen=True):
    """Params of `thread/list`."""

    cursor: str | None = None
    limit: Limit | None = None
    sort_key: Literal["created_at", "updated_at", "recency_at", "section_position"] | None = None
    sort_direction: SortDirection | None = None
    archived: bool | None = None
    cwd: str | list[str] | None = None
    model_providers: list[str] | None = None
    source_kinds: list[str] | None = None
    search_term: str | None = None
    included_thread_ids: list[str] | None = None
    excluded_thread_ids: list[str] | None = None


class ThreadListResponse(Result, frozen=True):
    """Result of `thread/list`."""

    data: list[Thread]
    next_cursor: str | None = None
    backwards_cursor: str | None = None


class ThreadLoadedListParams(Params, frozen=True):
    """Params of `thread/loaded/list`."""

    cursor: str | None = None
    limit: Limit | None = None


class ThreadLoadedListResponse(Result, frozen=True):
    """Result of `thread/loaded/list`."""

    data: list[str]
    next_cursor: str | None = None


class ThreadTurnsListParams(ThreadParams, frozen=True):
    """Params of `thread/turns/list`."""

    cursor: str | None = None
    limit: Limit | None = None
    sort_direction: SortDirection | None = None
    items_view: ItemsView | None = None


class ThreadTurnsListResponse(Result, frozen=True):
    """Result of `thread/turns/list`."""

    data: list[Turn]
    next_cursor: str | None = None
    backwards_cursor: str | None = None


class ItemAnchor(Params, frozen=True):
    """A cursor that names an item."""

    item_id: str
    type: Literal["item"] = "item"


class ThreadItemsListParams(ThreadParams, frozen=True):
    """Params of `thread/items/list`."""

    cursor: str | ItemAnchor | None = None
    limit: Limit | None = None
    sort_direction: SortDirection | None = None
    turn_id: str | None = None


class ThreadItemEntry(Result, frozen=True):
    """An item, and when it was stored."""

    turn_id: str
    item: ThreadItem
    started_at_ms: int | None = None
    completed_at_ms: int | None = None


class ThreadItemsListResponse(Result, frozen=True):
    """Result of `thread/items/list`."""

    data: list[ThreadItemEntry]
    next_cursor: str | None = None
    backwards_cursor: str | None = None


class ThreadSetNameParams(ThreadParams, frozen=True):
    """Params of `thread/name/set`."""

    name: str


class ThreadUnsubscribeResponse(Result, frozen=True):
    """Result of `thread/unsubscribe`."""

    status: Literal["notLoaded", "notSubscribed", "unsubscribed"]


class ThreadRevertParams(ThreadParams, frozen=True):
    """Params of `thread/revert`."""

    before_turn_id: str


class ThreadInjectItemsParams(ThreadParams, frozen=True):
    """Params of `thread/inject_items`."""

    items: list[Raw]
    """Items of the Responses API."""


class ThreadShellCommandParams(ThreadParams, frozen=True):
    """Params of `thread/shellCommand`."""

    command: str
    """A script for the user's shell."""
    timeout_ms: Annotated[int, Meta(ge=0)] | None = None

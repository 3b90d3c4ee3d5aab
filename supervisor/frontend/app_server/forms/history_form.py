"""Renders saved threads and their turns in the form of this protocol. Free of I/O."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from greenroom.protocol.app_server.item import AgentMessageItem, ThreadItem, UserMessageItem
from greenroom.protocol.app_server.thread import (
    GitInfo,
    ItemsView,
    Thread,
    ThreadStatus,
    ThreadTurnStatus,
    Turn,
    TurnError,
)
from greenroom.protocol.app_server.threads import SortDirection, ThreadItemEntry
from greenroom.protocol.app_server.wire import CODEX_VERSION
from greenroom.protocol.jsonrpc import INVALID_REQUEST
from greenroom.supervisor.frontend.app_server.forms.item_form import render_thread_item
from greenroom.supervisor.frontend.app_server.forms.thread_form import SOURCE, born
from greenroom.supervisor.frontend.app_server.forms.turn_form import error_of
from greenroom.supervisor.frontend.request_params import RefusedError
from greenroom.supervisor.frontend.thread_items.update import Fault

if TYPE_CHECKING:
    from greenroom.sessions.records.thread_history import StoredTurn
    from greenroom.sessions.thread_list import ThreadEntry

PAGE: Final = 25
MOST: Final = 1000
"""Maximum of what one page holds, whatever the client asks for."""
_SOURCES: Final = frozenset({"cli", "vscode", "exec", "unknown"})
T = TypeVar("T")


class HistoryPage(NamedTuple):
    """A part of a list, and the cursors of what follows and of what comes before."""

    rows: "Sequence[tuple[str, object]]"
    next_cursor: str | None
    backwards_cursor: str | None


def saved_thread(entry: "ThreadEntry", status: ThreadStatus) -> Thread:
    """Return a saved thread, without its turns."""
    meta, git = entry.meta, entry.meta.git
    repository = None if git is None else _git_info(git.commit_hash, git.branch, git.repository_url)
    return Thread(
        id=entry.id,
        session_id=entry.id,
        preview=entry.preview,
        ephemeral=False,
        model_provider=meta.model_provider or "openai",
        created_at=born(entry.id, meta.timestamp),
        updated_at=round(entry.changed_at),
        status=status,
        cwd=entry.cwd,
        cli_version=meta.cli_version or CODEX_VERSION,
        source=meta.source if isinstance(meta.source, str) and meta.source in _SOURCES else SOURCE,
        project_id=None,
        turns=[],
        path=entry.path,
        name=entry.name,
        model=entry.model,
        forked_from_id=meta.forked_from_id,
        thread_source=meta.thread_source,
        git_info=repository,
    )


def _git_info(sha: str | None, branch: str | None, origin_url: str | None) -> GitInfo:
    return GitInfo(sha=sha, branch=branch, origin_url=origin_url)


def stored_turn(turn: "StoredTurn", view: ItemsView, running: str | None) -> Turn:
    """Return a saved turn. `running` is the one that runs, which has no end yet."""
    items = [render_thread_item(stored.item) for stored in turn.items]
    shown: list[ThreadItem] = {"full": items, "summary": list(_summary(items)), "notLoaded": []}[view]
    fault = None if turn.fault is None else error_of(Fault(turn.fault, turn.fault_info))
    return Turn(
        id=turn.id,
        items=shown,
        items_view=view,
        status=_status(turn, running),
        error=fault if fault is not None or turn.state != "failed" else TurnError(message="the turn failed"),
        started_at=turn.started_at,
        completed_at=turn.completed_at,
        duration_ms=turn.duration_ms,
    )


def item_entries(turns: "Sequence[StoredTurn]", turn_id: str | None) -> list[tuple[str, ThreadItemEntry]]:
    """Return the items of all turns, or of one, each with its key for a cursor."""
    return [
        (
            f"{turn.id}/{stored.item.id}",
            ThreadItemEntry(
                turn_id=turn.id,
                item=render_thread_item(stored.item),
                started_at_ms=stored.at_ms,
                completed_at_ms=stored.at_ms,
            ),
        )
        for turn in turns
        for stored in turn.items
        if turn_id in (None, turn.id)
    ]


def page_of(
    rows: Sequence[tuple[str, T]], cursor: str | None, limit: int | None, direction: SortDirection
) -> HistoryPage:
    """Return a page of rows that are given in ascending order, each with its key. Raises `RefusedError`.

    A cursor names the row that it comes after; one that begins with `@` includes it.
    """
    ordered = list(rows) if direction == "asc" else list(reversed(rows))
    start = 0
    if cursor is not None:
        key, includes = cursor.removeprefix("@"), cursor.startswith("@")
        place = next((number for number, (name, _) in enumerate(ordered) if name == key), None)
        if place is None:
            raise RefusedError(INVALID_REQUEST, f"invalid cursor: {cursor}")
        start = place if includes else place + 1
    size = min(limit or PAGE, MOST)
    found = ordered[start : start + size]
    more = start + size < len(ordered)
    return HistoryPage(found, found[-1][0] if more else None, f"@{found[0][0]}" if found else None)


def _summary(items: Sequence[ThreadItem]) -> Iterator[ThreadItem]:
    """Yield the first message of the user, and the last one of the agent."""
    yield from [item for item in items if isinstance(item, UserMessageItem)][:1]
    yield from [item for item in items if isinstance(item, AgentMessageItem)][-1:]


def _status(turn: "StoredTurn", running: str | None) -> ThreadTurnStatus:
    match turn.state:
        case "open":
            return "inProgress" if turn.id == running else "interrupted"
        case "completed" | "interrupted" | "failed":
            return turn.state

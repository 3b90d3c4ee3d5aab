"""Follows the session file of a conversation as it grows: messages, actions, and the plan, for people to read.

What the model no longer sees because it was compacted away is kept; turns that were rolled back are left out.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Final, NamedTuple

import msgspec

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject
from greenroom.sessions.records.chronicle import ChronicleReader, TurnItem
from greenroom.sessions.records.passage import passage_of
from greenroom.sessions.storage.finder import find_archived, find_listed
from greenroom.sessions.storage.lineage import open_with_origins
from greenroom.supervisor.cli.dashboard.passage_text import shown_passage

MOST: Final = 300
"""Passages that are shown, the last ones."""
KEPT: Final = 4 * MOST
"""Items that are kept of a file while it is read."""
BLOCK: Final = 1000
"""Lines between two times at which what is not kept is dropped."""
PLAN_TOOL: Final = "update_plan"


class Entry(NamedTuple):
    """A message or an action."""

    turn: int
    speaker: str
    text: str


class PlanEntry(NamedTuple):
    """A step of the plan."""

    text: str
    status: str
    """`pending`, `in_progress` or `completed`."""


@dataclass(frozen=True, slots=True)
class Growth:
    """What has been added to a transcript."""

    entries: tuple[Entry, ...] = ()
    plan: tuple[PlanEntry, ...] | None = None
    """The plan as it is now; `None` where it has not changed."""
    is_whole: bool = False
    """Whether this is all there is, instead of what was told before."""
    left_out: int = 0
    """Passages before the first one; of a whole transcript."""
    fault: str | None = None
    """Why the file cannot be read."""


NOTHING: Final = Growth()


class TranscriptReader:
    """One page's reading of one conversation. Not for several threads at a time; `close` it."""

    def __init__(self, home: str, conversation_id: ConversationId) -> None:
        self._home, self._id = home, conversation_id
        self._file: BinaryIO | None = None
        self._mark: tuple[int, ...] = ()
        """What tells that a file has changed."""
        self._fault: str | None = None
        self._forget()

    def grown(self) -> Growth | None:
        """Return what has been added since the last call, `None` if nothing has."""
        try:
            growth = self._read()
        except (OSError, SessionFileError) as error:
            return self._failed((error.strerror if isinstance(error, OSError) else None) or str(error))
        self._fault = None
        return None if growth == NOTHING else growth

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _forget(self) -> None:
        self._reading = ChronicleReader()
        self._told = 0
        """Items that were told of, of those that are kept."""
        self._left_out = 0
        """Passages that are not kept any more."""
        self._plan: tuple[PlanEntry, ...] = ()
        self._is_whole = True
        """Whether the next growth replaces what was told."""

    def _failed(self, fault: str) -> Growth | None:
        self.close()
        self._mark = ()
        if fault == self._fault:
            return None
        self._fault = fault
        return Growth(is_whole=True, plan=(), fault=fault)

    def _read(self) -> Growth:
        path = self._path()
        facts = os.stat(path)
        mark = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
        if mark == self._mark:
            return NOTHING
        if self._file is None or mark[:2] != self._mark[:2] or mark[2] < self._mark[2]:
            self.close()
            self._forget()
            self._file = open_with_origins(Reader(self._home), path)
        self._take(self._file)
        self._mark = mark
        if not self._file.seekable():  # it cannot be read on from its end
            self.close()
        return self._growth()

    def _path(self) -> str:
        """Return the path of the file. Raises `SessionFileError`."""
        path = find_listed(self._home, self._id) or find_archived(self._home, self._id)
        if path is None:
            raise SessionFileError("the conversation has no session file yet")
        return path

    def _take(self, file: BinaryIO) -> None:
        """Read whole lines up to the end; the beginning of one that is being written is left for the next time."""
        for number, line in enumerate(iter(file.readline, b""), 1):
            if not line.endswith(b"\n") and file.seekable():
                file.seek(-len(line), os.SEEK_CUR)
                break
            before = len(self._reading.told)
            self._reading.take(line)
            if len(self._reading.told) < before:  # turns were rolled back
                self._is_whole = True
            if number % BLOCK == 0:
                self._drop()

    def _growth(self) -> Growth:
        told, is_whole = self._reading.told, self._is_whole
        begin = 0 if is_whole else self._told
        new = told[begin:]
        entries = _entries(new, _plan_calls(told[:begin]))
        plan = _plan(new) or (self._plan if self._left_out or not is_whole else ())
        is_news, self._plan = is_whole or plan != self._plan, plan
        left_out = self._left_out + max(len(entries) - MOST, 0) if is_whole else 0
        self._told, self._is_whole = len(told), False
        self._drop()
        return Growth(entries[-MOST:], plan if is_news else None, is_whole, left_out)

    def _drop(self) -> None:
        """Keep the last items alone."""
        told = self._reading.told
        surplus = len(told) - KEPT
        if surplus > 0:
            dropped = told[:surplus]
            self._left_out += len(_entries(dropped))
            self._plan = _plan(dropped) or self._plan if self._is_whole else self._plan
            self._told = max(self._told - surplus, 0)
            del told[:surplus]


def _entries(told: Iterable[TurnItem], plan_calls: Iterable[object] = ()) -> tuple[Entry, ...]:
    """Return the passages of items, but for the calls that make a plan and their outputs.

    `plan_calls` are the ids of such calls before.
    """
    hidden, entries = set(plan_calls), []
    for turn, item in told:
        if _steps(item) is not None:
            hidden.add(item.get("call_id"))
        passage = None if item.get("call_id") in hidden else passage_of(item)
        if passage is not None:
            entries.append(Entry(turn, passage.speaker, shown_passage(passage.text)))
    return tuple(entries)


def _plan_calls(told: Iterable[TurnItem]) -> list[object]:
    return [item.get("call_id") for _, item in told if _steps(item) is not None]


def _plan(told: Iterable[TurnItem]) -> tuple[PlanEntry, ...]:
    """Return the plan that the last of these items that makes one has made."""
    found = [steps for _, item in told if (steps := _steps(item)) is not None]
    return found[-1] if found else ()


class _Step(msgspec.Struct, frozen=True):
    step: str = ""
    status: str = "pending"


class _Plan(msgspec.Struct, frozen=True):
    plan: list[_Step]


def _steps(item: JsonObject) -> tuple[PlanEntry, ...] | None:
    """Return the plan of an item that makes one."""
    if item.get("type") != "function_call" or item.get("name") != PLAN_TOOL:
        return None
    with suppress(msgspec.MsgspecError, UnicodeError, RecursionError):
        made = msgspec.json.decode(str(item.get("arguments")).encode("utf-8", "replace"), type=_Plan)
        return tuple(PlanEntry(shown_passage(step.step), shown_passage(step.status)) for step in made.plan[:MOST])
    return None

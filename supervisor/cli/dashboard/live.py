"""What a conversation is writing at the moment, as one page is told it. Free of I/O and clocks.

A passage is live from its first piece until the session file has it; the page then shows it from there. The page is
told the difference between what it was told last and what is so now: nothing is queued, however slow it is. Where
pieces are missing, because the page came later or did not read in time, a text begins with `…` until its end is known.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.events.thread_item import AgentMessage, AnyItem, CommandExecution, Reasoning
from greenroom.sessions.records.passage import Speaker
from greenroom.supervisor.cli.dashboard.passage_text import GrowingText, shown_passage
from greenroom.supervisor.cli.dashboard.transcript import Entry, PlanEntry
from greenroom.supervisor.control.watch_messages import (
    WatchBegan,
    WatchedEvents,
    WatchedTurnEnded,
    WatchGap,
    WatchMessage,
)
from greenroom.supervisor.frontend.thread_items.thread_tracker import ThreadTracker
from greenroom.supervisor.frontend.thread_items.update import (
    ItemBegan,
    ItemEnded,
    OutputGrew,
    PlanChanged,
    Retried,
    SummaryGrew,
    SummarySectionBegan,
    TextGrew,
    TurnBegan,
    TurnFinished,
    Update,
)

REMEMBERED: Final = 20
"""Passages of the session file among which one that has ended is looked for."""
OVERDUE: Final = 2.0
"""Seconds after the end of a turn for which passages are kept that the session file does not have."""
MOST_LIVE: Final = 20
"""Live passages at a time; the oldest is dropped for another one."""


class LivePassage(NamedTuple):
    """A live passage that is new or has grown."""

    id: str
    speaker: Speaker
    text: str
    is_more: bool
    """Whether the text follows what was told before; otherwise it is all there is."""


@dataclass(frozen=True, slots=True)
class LiveNews:
    """What a page is told of what is written at the moment."""

    passages: tuple[LivePassage, ...] = ()
    over: tuple[str, ...] = ()
    """Ids of passages that are no longer live."""
    plan: tuple[PlanEntry, ...] | None = None
    """The plan as it is now; `None` where it has not changed."""


NO_NEWS: Final = LiveNews()


class _Passage(msgspec.Struct):
    speaker: Speaker
    growing: GrowingText
    written_before: int
    """Passages that the session file had when it began."""
    final: str | None = None
    """Its text, once it has ended."""

    @property
    def text(self) -> str:
        return self.growing.shown if self.final is None else self.final


class LiveConversation:
    """What one page is told of one conversation."""

    def __init__(self) -> None:
        self._tracker = ThreadTracker()
        self._passages: dict[str, _Passage] = {}
        self._told: dict[str, str] = {}
        self._plan: tuple[PlanEntry, ...] | None = None
        self._recent: deque[tuple[int, Entry]] = deque(maxlen=REMEMBERED)
        """The last passages of the session file, with the number of those before them."""
        self._written = 0
        self._over_since: float | None = None
        """When the turn was found to be over."""
        self.is_to_be_written = False
        """Whether the session file is about to grow, as far as events tell."""

    def take(self, message: WatchMessage, now: float) -> None:
        """Take what a watcher is told. `now` is in seconds of any clock."""
        match message:
            case WatchedEvents(events):
                for one in self._tracker.receive(b"\n".join(map(bytes, events))):
                    self._take(one)
                    if isinstance(one, TurnFinished):
                        self._end_turn(now)
            case WatchedTurnEnded():
                self._end_turn(now)
            case WatchBegan() | WatchGap():
                self.lose()

    def lose(self) -> None:
        """Forget what is live: something was missed, and it is not known what."""
        self._tracker = ThreadTracker()
        self._passages.clear()

    def written(self, entries: Iterable[Entry]) -> None:
        """Note what the session file has got: with a passage of its kind, one that has ended before is in it."""
        speakers = set()
        for entry in entries:
            self._recent.append((self._written, entry))
            self._written += 1
            speakers.add(entry.speaker)
        self._drop([key for key, one in self._passages.items() if one.final is not None and one.speaker in speakers])

    def news(self, now: float) -> LiveNews | None:
        """Return what the page was not told yet, `None` if nothing."""
        if self._over_since is not None and now - self._over_since >= OVERDUE:
            self._passages.clear()
            self._over_since = None
        self._drop([key for key, one in self._passages.items() if self._is_written(one)])
        texts = {key: text for key, one in self._passages.items() if (text := one.text)}
        over = tuple(key for key in self._told if key not in texts)
        passages = tuple(
            _passage(key, self._passages[key].speaker, text, self._told.get(key, ""))
            for key, text in texts.items()
            if text != self._told.get(key)
        )
        self._told = texts
        plan, self._plan = self._plan, None
        news = LiveNews(passages, over, plan)
        return None if news == NO_NEWS else news

    @singledispatchmethod
    def _take(self, one: Update) -> None:
        """Take what an event means; nothing where it shows nothing."""
        del one

    @_take.register
    def _(self, one: TurnBegan) -> None:
        del one
        self._passages.clear()
        self._over_since = None
        self.is_to_be_written = True

    @_take.register
    def _(self, one: ItemBegan) -> None:
        speaker = _speaker(one.item)
        if speaker is not None and one.item.id not in self._passages:
            self._begin(one.item.id, speaker)
        self.is_to_be_written = True

    @_take.register
    def _(self, one: ItemEnded) -> None:
        passage = self._passages.get(one.item.id)
        if passage is not None:
            passage.final = shown_passage(_text(one.item)) or passage.text
        self.is_to_be_written = True

    @_take.register
    def _(self, one: Retried) -> None:
        del one
        self._drop([key for key, passage in self._passages.items() if passage.speaker != "output"])

    @_take.register
    def _(self, one: TextGrew) -> None:
        self._grow(one.item_id, "agent", one.piece)

    @_take.register
    def _(self, one: SummarySectionBegan) -> None:
        if one.section > 0 and one.item_id in self._passages:
            self._grow(one.item_id, "reasoning", "\n")

    @_take.register
    def _(self, one: SummaryGrew) -> None:
        self._grow(one.item_id, "reasoning", one.piece)

    @_take.register
    def _(self, one: OutputGrew) -> None:
        self._grow(one.item_id, "output", one.piece)

    @_take.register
    def _(self, one: PlanChanged) -> None:
        self._plan = tuple(PlanEntry(shown_passage(step.step), step.status) for step in one.steps)
        self.is_to_be_written = True

    def _grow(self, item_id: str, speaker: Speaker, piece: str) -> None:
        if item_id not in self._passages:
            self._begin(item_id, speaker, is_partial=True)
        self._passages[item_id].growing.grow(piece)

    def _begin(self, item_id: str, speaker: Speaker, *, is_partial: bool = False) -> None:
        if len(self._passages) >= MOST_LIVE:
            del self._passages[next(iter(self._passages))]
        self._passages[item_id] = _Passage(speaker, GrowingText(is_partial=is_partial), self._written)

    def _end_turn(self, now: float) -> None:
        for one in self._passages.values():
            one.final = one.text if one.final is None else one.final
        self._over_since = now if self._over_since is None else self._over_since
        self.is_to_be_written = True
        self._tracker = ThreadTracker()

    def _drop(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._passages[key]

    def _is_written(self, one: _Passage) -> bool:
        """Tell whether the session file had a passage before its end was told of."""
        if not one.final:
            return False
        since = [entry for number, entry in self._recent if number >= one.written_before]
        return any(entry.speaker == one.speaker and _is_same(one, entry.text) for entry in since)


def _is_same(one: _Passage, written: str) -> bool:
    """Tell whether this is what the session file has of a passage. Of an output it may have more or less."""
    final = one.final or ""
    return final == written or (one.speaker == "output" and (final in written or written in final))


def _passage(key: str, speaker: Speaker, text: str, told: str) -> LivePassage:
    is_more = bool(told) and text.startswith(told)
    return LivePassage(key, speaker, text[len(told) :] if is_more else text, is_more)


def _speaker(item: AnyItem) -> Speaker | None:
    match item:
        case AgentMessage():
            return "agent"
        case Reasoning():
            return "reasoning"
        case CommandExecution():
            return "output"
    return None


def _text(item: AnyItem) -> str:
    match item:
        case AgentMessage():
            return item.text
        case Reasoning():
            return "\n".join(item.summary_text)
        case CommandExecution():
            return item.aggregated_output or ""
    return ""

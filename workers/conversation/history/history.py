"""The history of one conversation, free of I/O: items in order, each encoded once, ready for the next request.

Rules that it enforces:

* Only items of known types are recorded, and no system message. Deltas never are: the finished message is.
* In a request each call is followed by exactly one output. A call without an output gets one that says so, directly
  after it; an output that belongs to no call is left out. The record itself is not changed by this.
* Members of a chat server's answer besides text and calls are sent to chat servers only: no longer once one has refused
  them, and with every answer once one has missed them.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.conversation.history.call_pairing import (
    OUTPUT_TYPES,
    aborted_output,
    expected_output,
    match_outputs,
)
from greenroom.workers.conversation.history.history_entry import HistoryEntry, entry_of, recorded
from greenroom.workers.model.chat.members import DEFAULTS, MEMBER, THOUGHTS

_ENCRYPTED: Final = "encrypted_content"
_MISSED: Final = re.compile(
    r"missing|required|passed back|must be (?:passed|provided|included|sent|present)", re.IGNORECASE
)
"""Words of servers that miss a member, and not of those that refuse it."""
_WORD: Final = re.compile(r"\w+", re.ASCII)
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode


class History:
    """The items of one conversation."""

    def __init__(self, items: Iterable[JsonObject] = ()) -> None:
        self._entries = recorded(items)
        self._withholds = False
        self._demanded: tuple[str, ...] = ()
        self._inputs: list[HistoryEntry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[HistoryEntry]:
        return iter(self._entries)

    @property
    def size(self) -> int:
        """The weight of all items."""
        return sum(entry.weight for entry in self._entries)

    def copy(self, end: int | None = None) -> "History":
        """Return another history of the same items, or of those before position `end`, without inputs of a turn."""
        other = History()
        other._entries = self._entries[:end]
        other._withholds = self._withholds
        other._demanded = self._demanded
        return other

    def append(self, item: JsonObject) -> bool:
        """Record an item and return true, or return false for one that is not recorded."""
        entry = entry_of(item)
        if entry is not None:
            self._entries.append(entry)
        return entry is not None

    @property
    def inputs(self) -> Sequence[HistoryEntry]:
        """The user's messages of the running turn, oldest first; the same objects as in the history."""
        return self._inputs

    def begin_turn(self) -> None:
        """Start another turn: it has no inputs yet."""
        self._inputs = []

    def append_input(self, item: JsonObject) -> bool:
        """Record a message of the user in the running turn, as `append` does. Compactions keep it unchanged."""
        is_recorded = self.append(item)
        if is_recorded:
            self._inputs.append(self._entries[-1])
        return is_recorded

    def extend(self, items: Iterable[JsonObject]) -> None:
        """Record items in order, as `append` does."""
        self._entries.extend(recorded(items))

    def replace(self, items: Iterable[JsonObject]) -> None:
        """Replace all items, as a compaction does. The inputs of the running turn must be among the new ones."""
        self._entries = recorded(items)
        left = [entry.encoded for entry in self._inputs]
        found: list[HistoryEntry] = []
        for entry in reversed(self._entries):  # of equal messages the last ones are the turn's
            if left and entry.encoded == left[-1]:
                found.append(entry)
                left.pop()
        self._inputs = found[::-1]

    def drop_oldest(self) -> bool:
        """Remove the oldest item, and a call's output with it. Return false where the history is empty."""
        if not self._entries:
            return False
        output = next((output for output, call in match_outputs(self._entries).items() if call == 0), 0)
        self._entries = [entry for position, entry in enumerate(self._entries) if position not in (0, output)]
        return True

    def drop_encrypted_reasoning(self) -> bool:
        """Remove encrypted reasoning, and return whether there was any."""
        kept = [entry for entry in self._entries if entry.type != "reasoning" or not entry.item.get(_ENCRYPTED)]
        dropped = len(kept) < len(self._entries)
        self._entries = kept
        return dropped

    def adapt_members(self, complaint: str) -> bool:
        """Change which members of answers are sent, as a server's complaint names one; return whether it does.

        After a refused member no members are sent any more. A missed member that holds reasoning is sent from then on
        with every answer, empty where the answer had none.
        """
        if self._withholds:
            return False
        if _MISSED.search(complaint):
            missed = _WORD.findall(complaint)
            names = [name for name in THOUGHTS if name in missed and name not in self._demanded]
            self._demanded = (*self._demanded, *names)
            return bool(names)
        self._withholds = any(name in complaint for name in self._member_names())
        return self._withholds

    def _member_names(self) -> Iterator[str]:
        for entry in self._entries:
            yield from entry.members

    def last_agent_message(self, since: int = 0) -> str | None:
        """Return the last text of the newest assistant message at position `since` or later, `None` without one."""
        for entry in reversed(self._entries[since:]):
            if entry.role == "assistant" and (text := _last_output_text(entry.item)) is not None:
                return text
        return None

    def outputs_for_unanswered(self, text: str) -> list[JsonObject]:
        """Return an output with the text `text` for each call that has none."""
        answered = set(match_outputs(self._entries).values())
        return [
            {**aborted_output(entry), "output": text}
            for position, entry in enumerate(self._entries)
            if expected_output(entry) is not None and position not in answered
        ]

    def encoded_input(self, *, with_members: bool = False) -> bytes:
        """Return the JSON array that a request carries as `input`.

        `with_members`: include the members of chat servers' answers, for the encoder of their requests.
        """
        with_members = with_members and not self._withholds
        defaults = dict.fromkeys(self._demanded, "") if with_members else {}
        first = (_encode({"type": DEFAULTS, MEMBER: defaults}),) if defaults else ()
        return b"[" + b",".join((*first, *self._paired(with_members))) + b"]"

    def _paired(self, with_members: bool) -> Iterator[bytes]:
        matches = match_outputs(self._entries)
        answered = set(matches.values())
        for position, entry in enumerate(self._entries):
            if entry.type in OUTPUT_TYPES and entry.call_id is not None and position not in matches:
                continue
            encoded = (with_members and entry.with_members) or entry.encoded
            if encoded:
                yield encoded
            if expected_output(entry) is not None and position not in answered:
                yield _encode(aborted_output(entry))


def _last_output_text(item: JsonObject) -> str | None:
    parts = [part for part in as_list(item.get("content")) if isinstance(part, dict)]
    texts = [part.get("text") for part in parts if part.get("type") == "output_text"]
    return next((text for text in reversed(texts) if isinstance(text, str)), None)

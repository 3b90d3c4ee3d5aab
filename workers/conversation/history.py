"""What one conversation has said so far, free of I/O: items in order, each encoded once, ready for the next request.

Rules that it enforces:

* Only items of known types are recorded, and no system message. Deltas never are: the finished message is.
* In a request each call is followed by exactly one output. A call that has none gets one that says so, directly after
  it; an output that belongs to no call is left out. The record itself is not changed by this.
* What a chat server said of its answer beside text and calls goes back to a chat server only: no longer once one has
  refused it, and with every answer once one has missed it.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final
from uuid import NAMESPACE_OID, uuid5

import msgspec

from greenroom.protocol.items import JsonObject, as_list, is_known, sent_form
from greenroom.protocol.user_messages import is_user_message
from greenroom.workers.model.chat_members import DEFAULTS, MEMBER, THOUGHTS

ABORTED: Final = "aborted"
"""What the model reads as the output of a call that never got one."""

IMAGE_WEIGHT: Final = 4_000
"""What an image in an item counts as, whatever its size in bytes: about as much as it costs the model."""

_ENCRYPTED: Final = "encrypted_content"
_IMAGES: Final = re.compile(rb'"image_url":"(data:[^"]*)"').findall
_MISSED: Final = re.compile(
    r"missing|required|passed back|must be (?:passed|provided|included|sent|present)", re.IGNORECASE
)
"""How servers say that they miss a member, rather than that they refuse it."""
_WORD: Final = re.compile(r"\w+", re.ASCII)
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, object]).decode


class HistoryEntry(msgspec.Struct, frozen=True):
    """One recorded item: the bytes that requests carry, and the facts by which it is found."""

    type: str
    role: str | None
    call_id: str | None
    is_user: bool
    """The user wrote it; false for messages that only give the model context."""
    encoded: bytes
    """Empty for an item that requests leave out."""
    weight: int
    """Its bytes, an image counted as `IMAGE_WEIGHT`. Four of them make about one token."""
    with_members: bytes = b""
    """The item for chat servers, with what they get back; empty where there is nothing of the kind."""

    @property
    def item(self) -> JsonObject:
        """The item as requests carry it; empty for one that they leave out."""
        return _decode(self.encoded or b"{}")

    @property
    def expected_output(self) -> tuple[str, str] | None:
        """Type and call id of the item that must follow; `None` for what is no call, or one that the server runs."""
        pairing = _PAIRINGS.get(self.type)
        return None if pairing is None or self.call_id is None else (pairing.output, self.call_id)


class _Pairing(msgspec.Struct, frozen=True):
    output: str
    """The `type` of the item that answers the call."""
    aborted: JsonObject
    """What an output made up for the call has besides its ids."""
    prefix: str
    """How the id of such an output starts."""


_FUNCTION: Final = _Pairing("function_call_output", {"output": ABORTED}, "fco_")
_PAIRINGS: Final[Mapping[str, _Pairing]] = {
    "function_call": _FUNCTION,
    "local_shell_call": _FUNCTION,
    "custom_tool_call": _Pairing("custom_tool_call_output", {"output": ABORTED}, "ctco_"),
    "tool_search_call": _Pairing(
        "tool_search_output", {"status": "incomplete", "execution": "client", "tools": []}, "tso_"
    ),
}
_OUTPUTS: Final = frozenset(pairing.output for pairing in _PAIRINGS.values())


class History:
    """The items of one conversation."""

    def __init__(self, items: Iterable[JsonObject] = ()) -> None:
        self._entries = _recorded(items)
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
        """Return another history of the same items, or of those before position `end`. No turn runs in it."""
        other = History()
        other._entries = self._entries[:end]
        other._withholds = self._withholds
        other._demanded = self._demanded
        return other

    def append(self, item: JsonObject) -> bool:
        """Record an item and return true, or return false for one that is not recorded."""
        entry = _entry(item)
        if entry is not None:
            self._entries.append(entry)
        return entry is not None

    @property
    def inputs(self) -> Sequence[HistoryEntry]:
        """What the user has said to the running turn, oldest first; told from other entries by identity."""
        return self._inputs

    def begin_turn(self) -> None:
        """Let what the user says from now on be said to the running turn."""
        self._inputs = []

    def append_input(self, item: JsonObject) -> bool:
        """Record what the user says to the running turn, as `append` does. It outlasts every compaction as it is."""
        recorded = self.append(item)
        if recorded:
            self._inputs.append(self._entries[-1])
        return recorded

    def extend(self, items: Iterable[JsonObject]) -> None:
        """Record items in order, passing over those that are not recorded."""
        self._entries.extend(_recorded(items))

    def replace(self, items: Iterable[JsonObject]) -> None:
        """Forget everything and record `items` instead, as a compaction does. The turn's inputs must be among them."""
        self._entries = _recorded(items)
        left = [entry.encoded for entry in self._inputs]
        found: list[HistoryEntry] = []
        for entry in reversed(self._entries):  # of equal messages the last ones are the turn's
            if left and entry.encoded == left[-1]:
                found.append(entry)
                left.pop()
        self._inputs = found[::-1]

    def drop_oldest(self) -> bool:
        """Forget the oldest item, and a call's output with it. Return false when there is nothing to forget."""
        if not self._entries:
            return False
        output = next((output for output, call in _matches(self._entries).items() if call == 0), 0)
        self._entries = [entry for position, entry in enumerate(self._entries) if position not in (0, output)]
        return True

    def drop_encrypted_reasoning(self) -> bool:
        """Forget the reasoning that only the server can read, and return whether there was any."""
        kept = [entry for entry in self._entries if entry.type != "reasoning" or not entry.item.get(_ENCRYPTED)]
        dropped = len(kept) < len(self._entries)
        self._entries = kept
        return dropped

    def adapt_members(self, complaint: str) -> bool:
        """Send members of answers as a server wants them that complains of one by name; return whether it does.

        If it refuses one, none is sent any more. If it misses one that holds reasoning, that is sent, empty if need be.
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
            if entry.with_members and isinstance(members := _decode(entry.with_members)[MEMBER], dict):
                yield from members

    def roll_back(self, user_turns: int) -> None:
        """Forget the last `user_turns` messages of the user and all that follows the first of them."""
        starts = [index for index, entry in enumerate(self._entries) if entry.is_user]
        if user_turns > 0 and starts:
            del self._entries[starts[max(0, len(starts) - user_turns)] :]

    def last_agent_message(self, since: int = 0) -> str | None:
        """Return the last text of the newest assistant message at position `since` or later, `None` without one."""
        for entry in reversed(self._entries[since:]):
            if entry.role == "assistant" and (text := _last_output_text(entry.item)) is not None:
                return text
        return None

    def outputs_for_unanswered(self, text: str) -> list[JsonObject]:
        """Return an output that says `text` for each call that has none."""
        answered = set(_matches(self._entries).values())
        return [
            {**_aborted_output(entry), "output": text}
            for position, entry in enumerate(self._entries)
            if entry.expected_output is not None and position not in answered
        ]

    def encoded_input(self, *, with_members: bool = False) -> bytes:
        """Return the JSON array that a request carries as `input`.

        `with_members`: with what a chat server said of its answers besides, for the encoder of its requests.
        """
        with_members = with_members and not self._withholds
        defaults = dict.fromkeys(self._demanded, "") if with_members else {}
        first = (_encode({"type": DEFAULTS, MEMBER: defaults}),) if defaults else ()
        return b"[" + b",".join((*first, *self._paired(with_members))) + b"]"

    def _paired(self, with_members: bool) -> Iterator[bytes]:
        matches = _matches(self._entries)
        answered = set(matches.values())
        for position, entry in enumerate(self._entries):
            if entry.type in _OUTPUTS and entry.call_id is not None and position not in matches:
                continue
            encoded = (with_members and entry.with_members) or entry.encoded
            if encoded:
                yield encoded
            if entry.expected_output is not None and position not in answered:
                yield _encode(_aborted_output(entry))


def _matches(entries: list[HistoryEntry]) -> dict[int, int]:
    """Return for the position of each output the position of its call: the oldest before it that is still open."""
    open_calls: defaultdict[tuple[str, str | None], deque[int]] = defaultdict(deque)
    matches: dict[int, int] = {}
    for position, entry in enumerate(entries):
        if entry.expected_output is not None:
            open_calls[entry.expected_output].append(position)
        elif waiting := open_calls.get((entry.type, entry.call_id)):
            matches[position] = waiting.popleft()
    return matches


def _recorded(items: Iterable[JsonObject]) -> list[HistoryEntry]:
    return [entry for entry in map(_entry, items) if entry is not None]


def _entry(item: JsonObject) -> HistoryEntry | None:
    if not is_known(item) or item.get("role") == "system":
        return None
    sent = sent_form(item)
    role, call_id = item.get("role"), item.get("call_id")
    if item["type"] == "local_shell_call":
        call_id = call_id or item.get("id")
    encoded = b"" if sent is None else _encoded(sent)
    members = item.get(MEMBER)
    with_members = _encoded(_with_members(item, sent, members)) if isinstance(members, dict) and members else b""
    return HistoryEntry(
        type=str(item["type"]),
        role=role if isinstance(role, str) else None,
        call_id=call_id if isinstance(call_id, str) else None,
        is_user=is_user_message(item),
        encoded=encoded,
        weight=_weight(max(encoded, with_members, key=len)),
        with_members=with_members,
    )


def _with_members(item: JsonObject, sent: JsonObject | None, members: JsonObject) -> JsonObject:
    return {**(sent or {"type": item["type"], "content": as_list(item.get("content"))}), MEMBER: members}


def _encoded(item: JsonObject) -> bytes:
    try:
        return _encode(item)
    except UnicodeEncodeError:
        return _encode(_without_surrogates(item))


def _weight(encoded: bytes) -> int:
    images = _IMAGES(encoded) if b'"data:' in encoded else []
    return len(encoded) + sum(IMAGE_WEIGHT - len(image) for image in images)


def _without_surrogates(value: object) -> object:
    """Replace what stands for undecodable bytes, as in the name of a file: JSON has no form for it."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_without_surrogates(name): _without_surrogates(member) for name, member in value.items()}
        case list():
            return [_without_surrogates(member) for member in value]
        case _:
            return value


def _aborted_output(call: HistoryEntry) -> JsonObject:
    """Make the output of a call that has none. Its id follows from the call's and so is the same in every request."""
    pairing = _PAIRINGS[call.type]
    output: JsonObject = {"type": pairing.output}
    if isinstance(call_item_id := call.item.get("id"), str):
        output["id"] = pairing.prefix + str(uuid5(NAMESPACE_OID, call_item_id))
    return {**output, "call_id": call.call_id, **pairing.aborted}


def _last_output_text(item: JsonObject) -> str | None:
    parts = [part for part in as_list(item.get("content")) if isinstance(part, dict)]
    texts = [part.get("text") for part in parts if part.get("type") == "output_text"]
    return next((text for text in reversed(texts) if isinstance(text, str)), None)

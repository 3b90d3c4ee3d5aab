"""Rebuilds a conversation from the lines of its session file, free of I/O.

Two formats are read, also mixed in one file: the envelopes of current releases, and the bare items of August 2025.
Lines that are not needed or not JSON are skipped. Only the first line must be valid.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeVar
from uuid import UUID

import msgspec

from greenroom.protocol.errors import SessionFileError
from greenroom.protocol.goal import ThreadGoal
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.items import JsonObject, as_list, is_known_item
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.protocol.user_messages import is_user_message, summary_message

T = TypeVar("T")

TITLE: Final = 200
"""Characters of a title."""


class BeganWith(msgspec.Struct, frozen=True):
    """What a conversation that began on a node was allowed then, as the host has written."""

    approval_policy: ApprovalPolicy | None = None
    sandbox_mode: SandboxMode | None = None


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a conversation according to its session file."""

    conversation_id: ConversationId
    session_id: str
    """Id of the root conversation; the same one unless this is a sub-agent's."""
    cwd: str | None
    """The directory of the last turn."""
    model: str | None
    """The model of the last turn."""
    provider: str | None
    base_instructions: str | None
    """The instructions to continue with, if the file has any."""
    items: list[JsonObject]
    """The history, as it was recorded. A call may lack its output."""
    context: JsonObject | None
    """The last `turn_context` that the remaining history contains for the model; `None` where it has to be sent again.
    """
    interrupted: bool
    """Whether the last turn has no recorded end."""
    usage: dict[str, int] | None
    """Tokens of the whole conversation."""
    window_number: int
    """How often the history was compacted."""
    torn: bool
    """Whether the last line was written in part only. It is not in `items`."""
    is_2025: bool
    """Whether the file began in the format of August 2025, which current releases of Codex cannot resume."""
    goal: ThreadGoal | None = None
    """The last goal that was recorded; of a fork it may name the conversation that it was copied from."""
    began_with: BeganWith = BeganWith()
    """What counts where `context` is `None`."""

    @property
    def title(self) -> str | None:
        """The first words of the user, on one line; `None` where none are left in the history."""
        first = next((item for item in self.items if is_user_message(item)), None)
        if first is None:
            return None
        texts = (part.get("text") for part in as_list(first.get("content")) if isinstance(part, dict))
        return " ".join(" ".join(text for text in texts if isinstance(text, str)).split())[:TITLE]


def restore(lines: Iterable[bytes]) -> Restored:
    """Rebuild a conversation from the lines of a file, each with its newline. Raises `SessionFileError`."""
    numbered = (line for line in lines if not line.isspace())
    first = next(numbered, b"")
    if not first:
        raise SessionFileError("it is empty")
    meta = _meta(first)
    replay = _Replay()
    replay.take_meta(meta)
    torn = False
    for line in numbered:
        torn = not (replay.take(line) or line.endswith(b"\n") or is_json(line))
    return replay.restored(meta, torn)


def is_json(line: bytes) -> bool:
    """Tell whether a line is one whole JSON text."""
    return _decode(line, msgspec.Raw) is not None


# The forms of lines


class _Instructions(msgspec.Struct, frozen=True):
    text: str


class _Meta(msgspec.Struct, frozen=True):
    id: str
    session_id: str | None = None
    cwd: str | None = None
    model_provider: str | None = None
    base_instructions: _Instructions | None = None
    history_mode: str = "legacy"
    greenroom: BeganWith = BeganWith()
    is_2025: bool = False


class _Line(msgspec.Struct, frozen=True):
    type: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"")


class _FirstLine(msgspec.Struct, frozen=True):
    payload: _Meta
    timestamp: str


class _Former(msgspec.Struct, frozen=True):
    id: str
    timestamp: str


class _Settings(msgspec.Struct, frozen=True):
    cwd: str | None = None
    model: str | None = None


class _Compacted(msgspec.Struct, frozen=True):
    message: str = ""
    replacement_history: list[JsonObject] | None = None
    window_number: int | None = None


class _Tag(msgspec.Struct, frozen=True):
    type: str


class _RolledBack(msgspec.Struct, frozen=True):
    num_turns: int


class _GoalUpdated(msgspec.Struct, frozen=True):
    goal: ThreadGoal | None


class _Totals(msgspec.Struct, frozen=True):
    total_token_usage: dict[str, int]


class _TokenCount(msgspec.Struct, frozen=True):
    info: _Totals


class _UsageRecord(msgspec.Struct, frozen=True):
    thread_token_usage: dict[str, int]


def _decode(data: bytes | msgspec.Raw, form: type[T]) -> T | None:
    try:
        return msgspec.json.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _meta(line: bytes) -> _Meta:
    meta = _whole_meta(line)
    try:
        UUID(meta.id)
    except ValueError as error:
        raise SessionFileError(f"its id {meta.id!r} is no UUID") from error
    if meta.history_mode not in {"legacy", "paginated"}:
        raise SessionFileError(f"its history mode {meta.history_mode!r} is not known")
    return meta


def _whole_meta(line: bytes) -> _Meta:
    kind = _decode(line, _Line)
    if kind is not None and kind.type == "session_meta":
        first = _decode(line, _FirstLine)
        if first is not None:
            return first.payload
    elif kind is not None and not kind.type and (former := _decode(line, _Former)) is not None:
        return _Meta(former.id, is_2025=True)
    raise SessionFileError("it does not begin with the metadata of a session")


# The replay


class _Turn(msgspec.Struct):
    """The point at which a turn of the user began: what to restore when it is rolled back."""

    items: list[JsonObject]
    length: int
    settings: JsonObject | None


class _Replay:
    def __init__(self) -> None:
        self._items: list[JsonObject] = []
        self._turns: list[_Turn] = []
        self._settings: JsonObject | None = None
        self._last = _Settings()
        self._usage: dict[str, int] | None = None
        self._window_number = 0
        self._running: bool | None = None
        self._goal: ThreadGoal | None = None
        self._cwd_told: str | None = None
        """As items of August 2025 tell it, whose files had no other place for it."""

    def take_meta(self, meta: _Meta) -> None:
        self._last = _Settings(meta.cwd)

    def take(self, line: bytes) -> bool:
        """Read a line; return false where it is not of a form that a file may contain."""
        record = _decode(line, _Line)
        if record is None:
            return False
        if not bytes(record.payload):
            self.take_bare_item(line)
        elif taker := _TAKERS.get(record.type):
            taker(self, record.payload)
        return True

    def take_bare_item(self, line: bytes) -> None:
        self._cwd_told = _cwd_told(line) or self._cwd_told
        self.take_item(line)

    def take_item(self, payload: bytes | msgspec.Raw) -> None:
        item = _decode(payload, dict[str, object])
        if item is None or not is_known_item(item):
            return
        if is_user_message(item):
            self._turns.append(_Turn(self._items, len(self._items), self._settings))
        self._items.append(item)

    def take_settings(self, payload: msgspec.Raw) -> None:
        self._settings = _decode(payload, dict[str, object])
        told = _decode(payload, _Settings) or _Settings()
        self._last = _Settings(told.cwd or self._last.cwd, told.model or self._last.model)

    def take_compacted(self, payload: msgspec.Raw) -> None:
        compacted = _decode(payload, _Compacted)
        if compacted is None:
            return
        history = compacted.replacement_history
        if history is None:
            history = [item for item in self._items if is_user_message(item)] + [summary_message(compacted.message)]
        # A new list: turns before this point still refer to the old one, should they be rolled back
        self._items = [item for item in history if is_known_item(item)]
        self._settings = None
        number = compacted.window_number
        self._window_number = self._window_number + 1 if number is None else number

    def take_event(self, payload: msgspec.Raw) -> None:
        tag = _decode(payload, _Tag)
        if tag is not None and (taker := _EVENT_TAKERS.get(tag.type)):
            taker(self, payload)

    def take_start(self, _: msgspec.Raw) -> None:
        self._running = True

    def take_end(self, _: msgspec.Raw) -> None:
        self._running = False

    def take_token_count(self, payload: msgspec.Raw) -> None:
        if count := _decode(payload, _TokenCount):
            self._usage = count.info.total_token_usage

    def take_usage(self, payload: msgspec.Raw) -> None:
        if record := _decode(payload, _UsageRecord):
            self._usage = record.thread_token_usage

    def take_goal(self, payload: msgspec.Raw) -> None:
        if event := _decode(payload, _GoalUpdated):
            self._goal = event.goal

    def roll_back(self, payload: msgspec.Raw) -> None:
        event = _decode(payload, _RolledBack)
        if event is None or event.num_turns < 1 or not self._turns:
            return
        place = max(0, len(self._turns) - event.num_turns)
        turn = self._turns[place]
        self._items, self._settings = turn.items, turn.settings
        del self._items[turn.length :]
        del self._turns[place:]

    def restored(self, meta: _Meta, torn: bool) -> Restored:
        conversation_id = ConversationId(str(UUID(meta.id)))
        return Restored(
            conversation_id=conversation_id,
            session_id=meta.session_id or conversation_id,
            cwd=self._last.cwd or self._cwd_told,
            model=self._last.model,
            provider=meta.model_provider,
            base_instructions=meta.base_instructions.text if meta.base_instructions else None,
            items=self._items,
            context=self._settings,
            interrupted=_is_unanswered(self._items) if self._running is None else self._running,
            usage=self._usage,
            window_number=self._window_number,
            torn=torn,
            is_2025=meta.is_2025,
            goal=self._goal,
            began_with=meta.greenroom,
        )


_Taker = Callable[[_Replay, msgspec.Raw], None]

_TAKERS: Final[Mapping[str, _Taker]] = {
    "response_item": _Replay.take_item,
    "turn_context": _Replay.take_settings,
    "compacted": _Replay.take_compacted,
    "event_msg": _Replay.take_event,
    "token_usage_record": _Replay.take_usage,
}

_EVENT_TAKERS: Final[Mapping[str, _Taker]] = {
    "task_started": _Replay.take_start,
    "turn_started": _Replay.take_start,
    "task_complete": _Replay.take_end,
    "turn_complete": _Replay.take_end,
    "turn_aborted": _Replay.take_end,
    "token_count": _Replay.take_token_count,
    "thread_goal_updated": _Replay.take_goal,
    "thread_rolled_back": _Replay.roll_back,
}

# Estimates for a file without events

_CWD: Final = re.compile(r"<environment_context>.*?<cwd>(.*?)</cwd>", re.DOTALL)


def _cwd_told(line: bytes) -> str | None:
    item = _decode(line, dict[str, object])
    if item is None or not is_known_item(item):
        return None
    found = (_CWD.match(text) for text in _texts(item))
    return next((match[1] for match in found if match), None)


def _texts(item: JsonObject) -> Iterator[str]:
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(text := part.get("text"), str):
            yield text


def _is_unanswered(items: list[JsonObject]) -> bool:
    for item in reversed(items):
        if item["type"] != "message":
            return True
        if item["role"] == "assistant":
            return False
        if is_user_message(item):
            return True
    return False

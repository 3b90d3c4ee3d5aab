"""Assembles the calls of one chat answer from their fragments. Free of I/O.

Fragments are assigned by index. If a server sends no index, or the same one for every call, they are assigned by id and
name; missing and duplicate ids are replaced. An unreadable fragment is an error, because an answer without the call
would look complete.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from greenroom.protocol.items import JsonObject
from greenroom.workers.model.chat.content import UNREADABLE, UnreadableError, shown_content
from greenroom.workers.model.chat.members import MEMBER, is_empty

_decode_object: Final = msgspec.json.Decoder(dict[str, object]).decode
_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode

_READ: Final = frozenset({"index", "id", "type", "function"})
_READ_OF_FUNCTION: Final = frozenset({"name", "arguments", "parameters", "description"})


class Calls:
    """All calls of one answer, in the order in which they began."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._all: list[_Call] = []
        self._by_index: dict[int | None, _Call] = {}

    def __len__(self) -> int:
        return len(self._all)

    def take(self, fragments: object, *, whole: bool = False) -> None:
        """Handle a member `tool_calls`. `whole`: each element is a complete call. Raises `UnreadableError`."""
        match fragments:
            case None:
                return
            case dict():
                self._take(fragments, None)
            case [*elements]:
                for position, element in enumerate(elements):
                    if element is not None:
                        self._take(element, position if whole else None)
            case _:
                raise _unreadable(fragments)

    def take_function(self, function: object) -> None:
        """Handle a member `function_call`, the single call of earlier API versions. Raises `UnreadableError`."""
        if function is not None:
            self._take({"index": 0, "function": function}, None)

    def items(self) -> Iterator[JsonObject]:
        """Yield the items of all calls."""
        used: set[str] = set()
        for call in self._all:
            # With one id for two calls, both would get the same output.
            call_id = call.id if call.id and call.id not in used else self._new_id()
            used.add(call_id)
            item: JsonObject = {
                "type": "function_call",
                "name": call.name,
                "arguments": "".join(call.arguments) or "{}",
                "call_id": call_id,
            }
            yield {**item, MEMBER: call.members} if call.members else item

    def _take(self, element: object, position: int | None) -> None:
        fragment = _Fragment(element)
        index = fragment.index if position is None else position
        call = self._by_index.get(index) if index is not None else self._without_index(fragment.id)
        if not fragment.is_empty:
            if call is None or call.is_over(fragment, indexed=index is not None):
                call = _Call()
                self._all.append(call)
            self._by_index[index] = call
            call.add(fragment)
        if call is not None:
            call.keep(fragment.members)

    def _without_index(self, call_id: str) -> "_Call | None":
        if not call_id:
            return self._all[-1] if self._all else None
        return next((call for call in self._all if call.id == call_id), None)


class _Fragment:
    """A fragment of a call, or a whole one."""

    __slots__ = ("arguments", "id", "index", "is_object", "members", "name")

    def __init__(self, element: object) -> None:
        """Raises `UnreadableError`."""
        if not isinstance(element, dict) or "custom" in element:
            raise _unreadable(element)
        function = element.get("function")
        # Some servers omit the wrapping object.
        flat = function is None and not element.keys().isdisjoint(_READ_OF_FUNCTION)
        function = element if flat else {} if function is None else function
        if not isinstance(function, dict):
            raise _unreadable(element)
        self.index = _index(element.get("index"))
        self.id = _text(element.get("id"))
        self.name = _text(function.get("name"))
        arguments = function.get("arguments", function.get("parameters"))
        self.is_object = isinstance(arguments, dict)
        self.arguments = _encode(arguments).decode() if self.is_object else _text(arguments)
        self.members = _rest(element, _READ | _READ_OF_FUNCTION if flat else _READ)
        if not flat and (inner := _rest(function, _READ_OF_FUNCTION)):
            self.members["function"] = inner

    @property
    def is_empty(self) -> bool:
        return not (self.id or self.name or self.arguments)


class _Call:
    """One call being assembled."""

    __slots__ = ("arguments", "id", "members", "name")

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []
        self.members: JsonObject = {}
        """Other members of the call."""

    def add(self, fragment: _Fragment) -> None:
        """Add a fragment that belongs here. Raises `UnreadableError`."""
        self.id = self.id or fragment.id
        if self._is_repeated(fragment):
            return
        self._add_name(fragment.name)
        if fragment.arguments:
            if fragment.is_object and self.arguments:
                raise UnreadableError(f"a call of the answer has its arguments twice: {self.name}")
            self.arguments.append(fragment.arguments)

    def keep(self, members: Mapping[str, object]) -> None:
        """Keep the other members of a fragment; later values replace earlier ones."""
        for name, value in members.items():
            old = self.members.get(name)
            self.members[name] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value

    def is_over(self, fragment: _Fragment, *, indexed: bool) -> bool:
        """Tell whether a fragment with the index of this call begins another call instead."""
        if not (fragment.name and self.name):
            return False
        if fragment.id and self.id:
            return fragment.id != self.id
        if fragment.name == self.name:
            return bool(fragment.arguments) and self._has_whole_arguments()
        return bool(self.arguments) or bool(fragment.id) or not indexed

    def _add_name(self, name: str) -> None:
        """Handle a name, the next piece of one, or one that every fragment repeats, possibly longer each time."""
        if name in ("", self.name):
            return
        if self.arguments and self.name:
            raise UnreadableError(f"a call of the answer has two names: {self.name}, {name}")
        self.name = name if name.startswith(self.name) else self.name + name

    def _is_repeated(self, fragment: _Fragment) -> bool:
        same = fragment.name == self.name and fragment.id in ("", self.id) and bool(fragment.name)
        return same and self._has_whole_arguments() and fragment.arguments == "".join(self.arguments)

    def _has_whole_arguments(self) -> bool:
        try:
            _decode_object("".join(self.arguments))
        except UNREADABLE:
            return False
        return True


def _rest(members: Mapping[str, object], read: frozenset[str]) -> JsonObject:
    return {name: value for name, value in members.items() if name not in read and not is_empty(value)}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool() | dict() | list():
            raise _unreadable(value)
        case _:
            return str(value)


def _index(value: object) -> int | None:
    match value:
        case None | "":
            return None
        case bool():
            raise _unreadable(value)
        case int():
            return value
        case float() if value.is_integer():
            return int(value)
        case str() if value.isascii() and value.isdecimal():
            return int(value[:9])
        case _:
            raise _unreadable(value)


def _unreadable(value: object) -> UnreadableError:
    return UnreadableError(f"a call of the answer has a form that is not known: {shown_content(_encode(value))}")

"""The body of a request to a Chat Completions server, made from the same items as one to the Responses API.

Rules that make it acceptable to any compatible server and chat template:

* There is one system message, the first: the instructions, then the texts of developer and system items.
* Consecutive items of one role form one message. Calls are in the message of the text before them, and the output of
  each follows directly.
* Arguments are a JSON object, whatever the model wrote; names have only characters that servers allow.
* Other members of a server's answer are sent back in the same message, under the same names (`chat_members`). Servers
  that demand them do so for every message while there are tools.
* Items without a form in this API are left out: reasoning of other APIs, encrypted history, tools run by a server.
"""

import re
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.items import JsonObject, as_list
from greenroom.workers.model.chat.members import DEFAULTS
from greenroom.workers.model.request import ModelRequest

NAMELESS: Final = "unnamed"
"""Replaces an empty name from the model."""

IMAGE_TEXT: Final = "(See the image in the message that follows.)"

_encode: Final[Callable[[object], bytes]] = msgspec.json.Encoder().encode
_decode_object: Final = msgspec.json.Decoder(dict[str, object]).decode
_UNFIT: Final = re.compile(r"[^a-zA-Z0-9_-]")
_LONGEST_NAME: Final = 64

Raw: TypeAlias = msgspec.Raw


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""
    refusal: str = ""
    image_url: Raw = Raw()
    """Never decoded, as it may have megabytes."""
    detail: str | None = None


class _Item(msgspec.Struct):
    """An item as sent by the history."""

    type: str = ""
    role: str = ""
    content: list[_Part] = []
    id: str | None = None
    call_id: str | None = None
    name: str = ""
    arguments: object = None
    input: str = ""
    action: object = None
    output: str | list[_Part] = ""
    chat: JsonObject = {}


_decode_items: Final = msgspec.json.Decoder(list[_Item]).decode


class ChatRequestEncoder:
    """Makes the bodies of one turn's requests (`greenroom.workers.model.codec.Encoder`). They differ only in
    `messages`."""

    def __init__(self, request: ModelRequest) -> None:
        self._instructions = request.instructions
        self._head = _encode({"model": request.model})[:-1] + b',"messages":'
        self._tail = b"," + _encode(_options(request))[1:]

    @property
    def takes_members(self) -> bool:
        """The server gets back the other members of its answers."""
        return True

    def body(self, encoded_input: bytes) -> bytes:
        """Return the body for the JSON array of items from `History.encoded_input`."""
        messages = _Messages(_decode_items(encoded_input)).all(self._instructions)
        return b"".join((self._head, _encode(messages), self._tail))


def _options(request: ModelRequest) -> JsonObject:
    options: JsonObject = {"stream": True, "stream_options": {"include_usage": True}}
    if tools := [tool for tool in map(_tool, request.tools) if tool is not None]:
        # Some servers reject an empty list.
        options["tools"] = tools
    if request.supports_reasoning and request.effort is not None:
        options["reasoning_effort"] = request.effort
    if request.verbosity is not None:
        options["verbosity"] = request.verbosity
    if request.output_schema is not None:
        schema = {"name": "codex_output_schema", "strict": True, "schema": request.output_schema}
        options["response_format"] = {"type": "json_schema", "json_schema": schema}
    return options


def _tool(tool: Mapping[str, object]) -> JsonObject | None:
    """Return a tool's definition in the form of this API, `None` if it is not a function."""
    match tool:
        case {"type": "function"}:
            members = ("name", "description", "strict", "parameters")
            return {"type": "function", "function": {name: tool[name] for name in members if name in tool}}
        case {"type": "custom", "name": name}:
            text = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
            description = tool.get("description", "")
            return {"type": "function", "function": {"name": name, "description": description, "parameters": text}}
        case _:
            return None


class _Messages:
    """Turns items into messages, in one pass."""

    def __init__(self, items: list[_Item]) -> None:
        self._items = items
        self._outputs: defaultdict[str, deque[_Item]] = defaultdict(deque)
        self._messages: list[JsonObject] = []
        self._system: list[str] = []
        self._said: list[_Part] = []
        """The user's parts of the current message."""
        self._answer: list[str] = []
        """The assistant's text in it."""
        self._calls: list[JsonObject] = []
        self._members: JsonObject = {}
        """Other members of that message."""
        self._defaults: JsonObject = {}
        """Members for every message that has no others of its own."""

    def all(self, instructions: str) -> list[JsonObject]:
        """Return all messages."""
        for item in self._items:
            if item.type in _OUTPUTS and item.call_id is not None:
                self._outputs[item.call_id].append(item)
        for item in self._items:
            self._take(item)
        self._close_assistant()
        self._close_user()
        system = "\n\n".join(text for text in (instructions, *self._system) if text)
        first: list[JsonObject] = [{"role": "system", "content": system}] if system else []
        return first + self._messages

    def _take(self, item: _Item) -> None:
        if item.type == "message":
            self._take_message(item)
        elif item.type in _OUTPUTS:
            if self._calls:
                self._close_assistant()
        elif item.type == DEFAULTS:
            self._defaults = item.chat
        elif item.type == "reasoning":
            self._members = _members(item) or self._members
        elif (call := _call(item)) is not None:
            self._close_user()
            self._calls.append(call)

    def _take_message(self, item: _Item) -> None:
        texts = _texts(item.content)
        if item.role == "user" and _user_content(item.content):
            self._close_assistant()
            self._members = {}
            self._said.extend(item.content)
        elif item.role == "assistant" and texts:
            self._close_user()
            self._answer.extend(texts)
        elif item.role not in ("user", "assistant"):
            self._system.append("\n".join(texts))

    def _close_user(self) -> None:
        if content := _user_content(self._said):
            self._messages.append({"role": "user", "content": content})
        self._said = []

    def _close_assistant(self) -> None:
        calls, text = self._calls, "".join(self._answer)
        if calls:
            self._add_spoken({"role": "assistant", "content": text or None, "tool_calls": calls})
        elif text:
            self._add_spoken({"role": "assistant", "content": text})
        self._calls, self._answer = [], []
        self._add_outputs(calls)

    def _add_spoken(self, message: JsonObject) -> None:
        self._messages.append({**self._defaults, **self._members, **message})
        self._members = {}

    def _add_outputs(self, calls: Iterable[JsonObject]) -> None:
        """Append the outputs of calls. Images in them follow as user messages, the only ones that may contain
        images."""
        for call in calls:
            call_id = str(call["id"])
            waiting = self._outputs[call_id]
            output = waiting.popleft().output if waiting else ""
            content = output if isinstance(output, str) else "\n".join(_texts(output))
            if not isinstance(output, str) and (images := [part for part in output if part.type == "input_image"]):
                self._said.extend(images)
                content = content or IMAGE_TEXT
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": content})


_OUTPUTS: Final = frozenset({"function_call_output", "custom_tool_call_output"})


def _members(item: _Item) -> JsonObject:
    """Return what is sent back of a reasoning item."""
    text = "".join(part.text for part in item.content)
    return {name: text if value is None else value for name, value in item.chat.items()}


def _texts(parts: Iterable[_Part]) -> list[str]:
    return [text for part in parts if (text := part.text or part.refusal)]


def _user_content(parts: list[_Part]) -> str | list[JsonObject]:
    """Return text as a string, since not every server supports parts, unless there is an image."""
    if not any(part.type == "input_image" for part in parts):
        return "\n\n".join(_texts(parts))
    return [found for part in parts if (found := _user_part(part)) is not None]


def _user_part(part: _Part) -> JsonObject | None:
    if part.type == "input_image":
        image: JsonObject = {"url": part.image_url}
        return {"type": "image_url", "image_url": image if part.detail is None else {**image, "detail": part.detail}}
    return {"type": "text", "text": part.text} if part.text else None


def _call(item: _Item) -> JsonObject | None:
    """Return a function call, `None` for anything else."""
    match item.type:
        case "function_call":
            name, arguments = item.name, _object_text(item.arguments)
        case "custom_tool_call":
            name, arguments = item.name, _text({"input": item.input})
        case "local_shell_call":
            name, arguments = "shell", _text(_command(item.action))
        case _:
            return None
    name = _UNFIT.sub("_", name)[:_LONGEST_NAME] or NAMELESS
    call_id = item.call_id or item.id or ""
    inner = item.chat.get("function")
    function = {**(inner if isinstance(inner, dict) else {}), "name": name, "arguments": arguments}
    return {**item.chat, "id": call_id, "type": "function", "function": function}


def _command(action: object) -> JsonObject:
    members = action if isinstance(action, dict) else {}
    known = {"timeout_ms": "timeout_ms", "working_directory": "workdir"}
    optional = {name: members[key] for key, name in known.items() if members.get(key) is not None}
    return {"command": as_list(members.get("command")), **optional}


def _object_text(arguments: object) -> str:
    """Return arguments that every server accepts; some reject the whole conversation because of one call without
    any."""
    text = arguments if isinstance(arguments, str) else ""
    if not text.strip():
        return "{}"
    try:
        _decode_object(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _text({"invalid": text})
    return text


def _text(value: JsonObject) -> str:
    return _encode(value).decode()

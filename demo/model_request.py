"""The parts of a model request that a script needs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec


class _Content(msgspec.Struct):
    text: str = ""


class _Item(msgspec.Struct):
    type: str = "message"
    role: str | None = None
    content: list[_Content] | str | None = None
    output: list[_Content] | str | None = None


class _Tool(msgspec.Struct):
    type: str = ""
    name: str = ""


class _Body(msgspec.Struct):
    input: list[_Item] | str
    tools: list[_Tool] | None = None
    prompt_cache_key: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: list[_Content] | str | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str = ""


class _ChatTool(msgspec.Struct):
    type: str = ""
    function: _Function = _Function()


class _ChatBody(msgspec.Struct):
    messages: list[_Message]
    tools: list[_ChatTool] | None = None


_Text: TypeAlias = list[_Content] | str | None
_decoder: Final = msgspec.json.Decoder(_Body)
_chat_decoder: Final = msgspec.json.Decoder(_ChatBody)
_EXEC_COMMAND_OUTPUT: Final = re.compile(r"\A(?:[^\n]*\n)*?Output:\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request to `POST /responses` or `POST /chat/completions`."""

    conversation: str
    """The client's cache key: the conversation's id in every release of the reference.

    Empty for a chat completion, which has none.
    """
    message: str
    """The text of the last user message."""
    outputs: Sequence[str]
    """The results of the tool calls after that message."""
    tools: Mapping[str, str]
    """The names of the offered tools with their types. A tool without a name is listed by its type."""

    @classmethod
    def decode(cls, body: bytes) -> "ReceivedRequest":
        """Parse a request body. Raises `msgspec.DecodeError` if it is invalid."""
        decoded = _decoder.decode(body)
        items = [_Item(role="user", content=decoded.input)] if isinstance(decoded.input, str) else decoded.input
        start = max((index for index, item in enumerate(items) if item.role == "user"), default=0)
        return cls(
            conversation=decoded.prompt_cache_key or "",
            message=_text(items[start].content) if items else "",
            outputs=tuple(_text(item.output) for item in items[start:] if item.type.endswith("_output")),
            tools={tool.name or tool.type: tool.type for tool in decoded.tools or ()},
        )

    @classmethod
    def decode_chat(cls, body: bytes) -> "ReceivedRequest":
        """Parse the body of a chat completion. Raises `msgspec.DecodeError` if it is invalid."""
        decoded = _chat_decoder.decode(body)
        messages = decoded.messages
        start = max((index for index, message in enumerate(messages) if message.role == "user"), default=0)
        return cls(
            conversation="",
            message=_text(messages[start].content) if messages else "",
            outputs=tuple(_text(message.content) for message in messages[start:] if message.role == "tool"),
            tools={tool.function.name: tool.type for tool in decoded.tools or ()},
        )

    @property
    def last_output(self) -> str:
        """The output of the last tool call, without the client's text around it and without the final newline."""
        return printed(self.outputs[-1]).rstrip("\n") if self.outputs else ""


def printed(output: str) -> str:
    """Return the output of a command, extracted from either form in which clients report it to the model."""
    try:
        return msgspec.json.decode(output, type=_ShellOutput).output
    except msgspec.DecodeError:
        match = _EXEC_COMMAND_OUTPUT.match(output)
        return match[1] if match else output


class _ShellOutput(msgspec.Struct):
    output: str


def _text(content: _Text) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content)

"""What a request to the model says, as far as a script needs to know it."""

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
class DecodedRequest:
    """One request to `POST /responses` or `POST /chat/completions`."""

    conversation: str
    """What the client uses as its cache key: the conversation's id in every release of the reference.

    Empty for a chat completion, which has none.
    """
    message: str
    """The text of the last user message."""
    outputs: Sequence[str]
    """What the tool calls after that message returned, as the model is told."""
    tools: Mapping[str, str]
    """The names of the tools on offer, each with its type. A tool without a name has its type for a name."""

    @classmethod
    def decode(cls, body: bytes) -> "DecodedRequest":
        """Read a request body. Raises `msgspec.DecodeError` for what is none."""
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
    def decode_chat(cls, body: bytes) -> "DecodedRequest":
        """Read the body of a chat completion. Raises `msgspec.DecodeError` for what is none."""
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
        """What the last tool call printed, without what the client says around it and without the last line's end."""
        return printed_output(self.outputs[-1]).rstrip("\n") if self.outputs else ""


def printed_output(output: str) -> str:
    """Return what a command printed, taken out of either form in which clients tell it to the model."""
    try:
        return msgspec.json.decode(output, type=_ShellOutput).output
    except msgspec.DecodeError:
        found = _EXEC_COMMAND_OUTPUT.match(output)
        return found[1] if found else output


class _ShellOutput(msgspec.Struct):
    output: str


def _text(content: _Text) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(part.text for part in content)

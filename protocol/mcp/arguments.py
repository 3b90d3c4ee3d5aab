"""Arguments of the tools `codex` and `codex-reply`, of all versions of the reference.

They are structs rather than pydantic models because a first call waits for this module, and importing pydantic takes
longer than all that the call needs in this process.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args
from uuid import UUID

import msgspec

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

PARSE_PREFIX = "Failed to parse configuration for Codex tool: "
NO_REPLY_ID = "Failed to parse thread_id: either threadId or conversationId must be provided"
DEEPEST: Final = 200
"""Objects and lists within each other that arguments may have: what reads them again must not run out of stack."""

A = TypeVar("A", bound=msgspec.Struct)


class ArgumentError(ValueError):
    """The arguments of a tool call do not fit. The text is the one that clients of the reference know."""


class CodexArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of `codex`. Unknown ones are ignored."""

    prompt: str
    cwd: str | None = None
    model: str | None = None
    profile: str | None = None
    approval_policy: ApprovalPolicy | None = msgspec.field(default=None, name="approval-policy")
    sandbox: SandboxMode | None = None
    config: dict[str, Any] | None = None
    base_instructions: str | None = msgspec.field(default=None, name="base-instructions")
    developer_instructions: str | None = msgspec.field(default=None, name="developer-instructions")
    compact_prompt: str | None = msgspec.field(default=None, name="compact-prompt")
    include_plan_tool: bool | None = msgspec.field(default=None, name="include-plan-tool")
    wait: bool | None = None
    """Whether the result of the turn is the result of the call, as it is if nothing is said."""
    worktree: bool | None = None


class ReplyArguments(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments of `codex-reply`. The conversation has three names, of which the newest given wins."""

    prompt: str
    thread_id: str | None = msgspec.field(default=None, name="threadId")
    former_id: str | None = msgspec.field(default=None, name="conversationId")
    session_id: str | None = msgspec.field(default=None, name="sessionId")
    wait: bool | None = None
    """As in `CodexArguments`."""

    @property
    def id_name(self) -> str:
        """The name under which error texts speak of the id that the caller used."""
        given = (("thread_id", self.thread_id), ("conversation_id", self.former_id), ("session_id", self.session_id))
        return next((name for name, value in given if value is not None), "thread_id")

    @property
    def conversation_id(self) -> ConversationId:
        """The id in canonical form. Raises `ArgumentError` where none is given or it is no UUID."""
        text = next((value for value in (self.thread_id, self.former_id, self.session_id) if value is not None), None)
        if text is None:
            raise ArgumentError(NO_REPLY_ID)
        try:
            return ConversationId(str(UUID(text)))
        except ValueError as error:
            raise ArgumentError(f"Failed to parse {self.id_name}: {error}") from error


_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "approval-policy": get_args(ApprovalPolicy),
    "sandbox": get_args(SandboxMode),
}
_EXPECTED: Final[dict[str, tuple[type, str]]] = {
    "config": (dict, "an object"),
    **dict.fromkeys(("include-plan-tool", "wait", "worktree"), (bool, "a valid boolean")),
}
"""Arguments that are neither text nor one of some choices."""
_TEXT: Final = (str, "a valid string")
_TYPE_NAMES: Final[dict[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    type(None): "null",
}


def parse_codex(arguments: bytes) -> CodexArguments:
    """Decode the arguments of `codex` from JSON. Raises `ArgumentError`."""
    if arguments == b"null":
        raise ArgumentError("Missing arguments for codex tool-call; the `prompt` field is required.")
    return _parse(arguments, CodexArguments, _decode_codex)


def parse_reply(arguments: bytes) -> ReplyArguments:
    """Decode the arguments of `codex-reply` from JSON. Raises `ArgumentError`."""
    if arguments == b"null":
        raise ArgumentError(
            "Missing arguments for codex-reply tool-call; the `thread_id` and `prompt` fields are required."
        )
    return _parse(arguments, ReplyArguments, _decode_reply)


_decode_codex: Final = msgspec.json.Decoder(CodexArguments).decode
_decode_reply: Final = msgspec.json.Decoder(ReplyArguments).decode


def _parse(arguments: bytes, form: type[A], decode: Callable[[bytes], A]) -> A:
    try:
        if arguments.count(b"{") + arguments.count(b"[") > DEEPEST and _is_deep(msgspec.json.decode(arguments)):
            raise RecursionError
        return decode(arguments)
    except RecursionError:
        raise ArgumentError(f"{PARSE_PREFIX}Invalid JSON: recursion limit exceeded") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ArgumentError(PARSE_PREFIX + _explain(arguments, form, error)) from error


def _is_deep(value: object) -> bool:
    """Tell whether there are more lists and objects within each other than `DEEPEST`."""
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for one in level
            if isinstance(one, dict | list)
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return any(isinstance(one, dict | list) for one in level)


def _explain(arguments: bytes, form: type[msgspec.Struct], error: Exception) -> str:
    """Say in one line what the first fault is: the argument's name, what was given, what is allowed."""
    try:
        given = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"Invalid JSON: {error}"
    if not isinstance(given, dict):
        return f"invalid type: {_type_name(given)}, input should be an object in ``"
    for field in msgspec.structs.fields(form):
        if field.encode_name in given:
            fault = _fault(field.encode_name, given[field.encode_name], is_needed=field.required)
        else:
            fault = f"missing field `{field.encode_name}`" if field.required else None
        if fault is not None:
            return fault
    return str(error)


def _fault(name: str, value: object, *, is_needed: bool) -> str | None:
    """Say what is wrong with the value of an argument; `None` where nothing is."""
    if value is None and not is_needed:
        return None
    if (choices := _CHOICES.get(name)) is not None:
        allowed = ", ".join(f"`{choice}`" for choice in choices)
        return None if value in choices else f"unknown variant `{value}`, expected one of {allowed} in `{name}`"
    kind, words = _EXPECTED.get(name, _TEXT)
    return (
        None if isinstance(value, kind) else f"invalid type: {_type_name(value)}, input should be {words} in `{name}`"
    )


def _type_name(value: object) -> str:
    name = _TYPE_NAMES.get(type(value), "object")
    return f"{name} `{value}`" if isinstance(value, bool | int | float) else name

"""Arguments of the tools `codex` and `codex-reply`, of all versions of the reference."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode

PARSE_PREFIX = "Failed to parse configuration for Codex tool: "
NO_REPLY_ID = "Failed to parse thread_id: either threadId or conversationId must be provided"


_FORM = ConfigDict(extra="ignore", frozen=True, strict=True, cache_strings="keys")
"""Ids and prompts, none of which comes again, are not kept in pydantic's cache of strings."""


class ArgumentError(ValueError):
    """The arguments of a tool call do not fit. The text is the one that clients of the reference know."""


class CodexArguments(BaseModel):
    """Arguments of `codex`. Unknown ones are ignored."""

    model_config = _FORM

    prompt: str
    cwd: str | None = None
    model: str | None = None
    profile: str | None = None
    approval_policy: ApprovalPolicy | None = Field(None, alias="approval-policy")
    sandbox: SandboxMode | None = None
    config: dict[str, object] | None = None
    base_instructions: str | None = Field(None, alias="base-instructions")
    developer_instructions: str | None = Field(None, alias="developer-instructions")
    compact_prompt: str | None = Field(None, alias="compact-prompt")
    include_plan_tool: bool | None = Field(None, alias="include-plan-tool")
    wait: bool | None = None
    """Whether the result of the turn is the result of the call, as it is if nothing is said."""
    worktree: bool | None = None


class ReplyArguments(BaseModel):
    """Arguments of `codex-reply`. The conversation has three names, of which the newest given wins."""

    model_config = _FORM

    prompt: str
    thread_id: str | None = Field(None, alias="threadId")
    former_id: str | None = Field(None, alias="conversationId")
    session_id: str | None = Field(None, alias="sessionId")
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


def parse_codex(arguments: bytes) -> CodexArguments:
    """Decode the arguments of `codex` from JSON. Raises `ArgumentError`."""
    if arguments == b"null":
        raise ArgumentError("Missing arguments for codex tool-call; the `prompt` field is required.")
    try:
        return CodexArguments.model_validate_json(arguments)
    except ValidationError as error:
        raise ArgumentError(PARSE_PREFIX + explain_arguments(error)) from error


def parse_reply(arguments: bytes) -> ReplyArguments:
    """Decode the arguments of `codex-reply` from JSON. Raises `ArgumentError`."""
    if arguments == b"null":
        raise ArgumentError(
            "Missing arguments for codex-reply tool-call; the `thread_id` and `prompt` fields are required."
        )
    try:
        return ReplyArguments.model_validate_json(arguments)
    except ValidationError as error:
        raise ArgumentError(PARSE_PREFIX + explain_arguments(error)) from error


def explain_arguments(error: ValidationError) -> str:
    """Say in one line what the first fault is: the argument's name, what was given, what is allowed."""
    fault = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in fault["loc"])
    match fault["type"]:
        case "missing":
            return f"missing field `{name}`"
        case "literal_error":
            allowed = str(fault.get("ctx", {}).get("expected", "")).replace("'", "`").replace(" or ", ", ")
            return f"unknown variant `{fault['input']}`, expected one of {allowed} in `{name}`"
        case "json_invalid":
            return fault["msg"]
        case _:
            given = fault["input"]
            return f"invalid type: {_type_name(given)}, {fault['msg'][:1].lower()}{fault['msg'][1:]} in `{name}`"


def _type_name(value: object) -> str:
    names: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    name = names.get(type(value), "null" if value is None else "object")
    return f"{name} `{value}`" if isinstance(value, bool | int | float) else name

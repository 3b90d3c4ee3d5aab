"""The requests to clients, and their answers."""

from typing import Any, ClassVar, Final, Literal, get_args

from msgspec import field

from greenroom.protocol.app_server.item import CommandAction
from greenroom.protocol.app_server.wire import Params, ServerRequest


class ApprovalQuestion(ServerRequest, frozen=True):
    """Base of questions about an item."""

    thread_id: str
    turn_id: str
    item_id: str
    started_at_ms: int
    reason: str | None = None


class CommandApproval(ApprovalQuestion, frozen=True, kw_only=True):
    """A command needs the user's consent."""

    method: ClassVar[str] = "item/commandExecution/requestApproval"

    command: str
    cwd: str
    command_actions: list[CommandAction]
    proposed_execpolicy_amendment: list[str] | None = None
    """The beginning of commands that the answer may allow for good (`acceptWithExecpolicyAmendment`)."""


class FileChangeApproval(ApprovalQuestion, frozen=True):
    """A patch needs the user's consent; its changes are those of the item."""

    method: ClassVar[str] = "item/fileChange/requestApproval"


class ServerElicitation(ServerRequest, frozen=True):
    """An MCP server, or a call of one of its tools, needs an answer of the user."""

    method: ClassVar[str] = "mcpServer/elicitation/request"

    thread_id: str
    turn_id: str | None
    server_name: str
    message: str
    mode: Literal["form", "url"]
    requested_schema: dict[str, Any] | None = None
    url: str | None = None
    elicitation_id: str | None = None
    meta: Any = field(name="_meta", default=None)


AnyQuestion = CommandApproval | FileChangeApproval | ServerElicitation

QUESTIONS: Final[dict[str, type[ServerRequest]]] = {kind.method: kind for kind in get_args(AnyQuestion)}
"""By method."""


class ApprovalAnswer(Params, frozen=True):
    """An answer about a command or a patch."""

    decision: str | dict[str, Any]

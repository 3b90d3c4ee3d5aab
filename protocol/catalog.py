"""The wire except its methods (`greenroom.protocol.methods`): messages to clients, and every error.

docs/wire.md and `greenroom schema` are generated from it. A message to the client that is not listed here fails a test.
"""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.methods import METHODS, Method


class SentMessage(NamedTuple):
    """A notification or request that the server sends to the client."""

    name: str
    meaning: str
    params: str
    """The members of its params, as text."""
    beside: str = "tools/call"
    """The method that leads to it."""


LOGIN_ENDED: Final = "`loginId`, `success`, `error`"
LOG, SUBSCRIBE, LISTEN = "logging/setLevel", "resources/subscribe", "subscriptions/listen"
NOTIFICATIONS: Final = (
    SentMessage(
        "codex/event",
        "What happens in a conversation while a call runs.",
        "`_meta` (`requestId` of the call, `threadId`), `id` of the turn, `msg`: an event",
    ),
    SentMessage(
        "notifications/progress", "Progress of a call with a `progressToken`.", "`progressToken`, `progress`, `message`"
    ),
    SentMessage("notifications/cancelled", "A question to the user has become void.", "`requestId`, `reason`"),
    SentMessage("codex/event/login_chat_gpt_complete", "A login has ended.", LOGIN_ENDED),
    SentMessage("loginChatGptComplete", "The same under its later name.", LOGIN_ENDED),
    SentMessage("account/login/completed", "The same in the form of the app server.", LOGIN_ENDED),
    SentMessage("codex/event/auth_status_change", "The current credential has changed.", "`authMethod`"),
    SentMessage("authStatusChange", "The same under its later name.", "`authMethod`"),
    SentMessage("account/updated", "The same in the form of the app server.", "`authMode`, `planType`"),
    SentMessage(
        "codex/event/<type>",
        "What happens in a conversation that the client listens to.",
        "`conversationId`, `id` of the turn, `msg`: an event",
        beside="addConversationListener",
    ),
    SentMessage("notifications/message", "A log message.", "`level`, `logger`, `data`", LOG),
    SentMessage("notifications/resources/updated", "A subscribed resource has changed.", "`uri`", SUBSCRIBE),
    SentMessage(
        "notifications/resources/list_changed", "The list of conversations has changed.", "none", "resources/list"
    ),
    SentMessage("notifications/prompts/list_changed", "The list of prompts has changed.", "none", "prompts/list"),
    SentMessage("notifications/tools/list_changed", "The list of tools has changed.", "none", LISTEN),
    SentMessage(
        "notifications/subscriptions/acknowledged",
        "A stream has been opened.",
        "`notifications`: the kinds that it carries",
        LISTEN,
    ),
    SentMessage("notifications/tasks", "The state of a task has changed.", "as `tasks/get` returns it", "tasks/get"),
)
"""Notifications; each is sent only if the method in `beside` is implemented."""

QUESTIONS: Final = (
    SentMessage(
        "elicitation/create",
        "A command or a patch needs the user's approval, or an MCP server an answer.",
        "`message`, `requestedSchema`, `threadId`, `codex_elicitation` (`exec-approval` or `patch-approval`), "
        "`codex_mcp_tool_call_id`, `codex_event_id`, `codex_call_id`; for a command `codex_command`, `codex_cwd`, "
        "`codex_parsed_cmd`; for a patch `codex_changes`, `codex_reason`",
    ),
    SentMessage(
        "execCommandApproval",
        "A command of a conversation that the client listens to needs the user's approval.",
        "`conversation_id`, `call_id`, `command`, `cwd`, `reason`",
        beside="addConversationListener",
    ),
    SentMessage(
        "applyPatchApproval",
        "A patch of such a conversation needs the user's approval.",
        "`conversation_id`, `call_id`, `file_changes`, `reason`",
        beside="addConversationListener",
    ),
)
"""Requests to the client. An answer has `action` (MCP) or `decision` (Codex)."""


class Code(NamedTuple):
    """A JSON-RPC error code."""

    number: int
    name: str
    cause: str


CODES: Final = (
    Code(-32700, "parse error", "A line is not JSON, not UTF-8 or longer than 256 MiB; the id is then null."),
    Code(-32600, "invalid request", "Not a JSON-RPC message, an id already in use, or not allowed in this state."),
    Code(-32601, "method not found", "This era has no such method; `data.method` repeats the name."),
    Code(-32602, "invalid params", "The params are invalid; the text says where."),
    Code(-32603, "internal error", "The request failed because of an error in the server."),
)

KINDS: Final[Mapping[ErrorKind, str]] = {
    "internal": "An error in the server.",
    "config": "A setting or an argument is invalid; the text names it.",
    "start_failed": "The conversation could not be started.",
    "worker_crashed": "The conversation's process died; the next `codex-reply` continues from the saved state.",
    "turn_aborted": "The turn was stopped on request.",
    "model_error": "The model server rejected the request, failed or broke off, and retries are exhausted.",
    "unauthorized": "There is no credential for the model, or it was rejected.",
    "usage_limit": "The account has reached its usage limit.",
    "prompt_too_long": "The message cannot fit into the model's context window and was not sent; "
    "`max_characters` says how long it may be, `characters` how long it is.",
    "approval_unavailable": "Approval was needed, but the client cannot ask the user; or there is no such "
    "approval to decide.",
    "overloaded": "Too many calls or turns are waiting already.",
    "session_busy": "Another process has the conversation open.",
    "session_unknown": "There is no conversation with this id.",
    "session_unreadable": "The session file cannot be read.",
    "session_unsaved": "The turn is complete and `content` has its answer, but the conversation cannot be saved.",
}
"""`structuredContent.error.kind` of a call that failed."""


def params_models(method: Method) -> tuple[type[msgspec.Struct], ...]:
    """Return the structs for the params of a method."""
    return tuple(_model(path) for path in method.params)


def served(messages: tuple[SentMessage, ...]) -> list[SentMessage]:
    """Return the messages whose method in `beside` is implemented."""
    return [message for message in messages if message.beside in METHODS]


def _model(path: str) -> type[msgspec.Struct]:
    module, _, name = path.rpartition(".")
    model: type[msgspec.Struct] = getattr(importlib.import_module(f"greenroom.protocol.{module}"), name)
    return model

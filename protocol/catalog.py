"""The wire beside its methods (`greenroom.protocol.methods`): what clients are told and asked, and every error.

docs/wire.md and `greenroom schema` are made from here. A message to the client that is not listed here fails a test.
"""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.methods import METHODS, Method


class SentMessage(NamedTuple):
    """A message that the server sends of its own accord."""

    name: str
    meaning: str
    params: str
    """The members of its params, in words."""
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
        "notifications/progress", "A call with a `progressToken` goes on.", "`progressToken`, `progress`, `message`"
    ),
    SentMessage("notifications/cancelled", "A question to the user is void.", "`requestId`, `reason`"),
    SentMessage("codex/event/login_chat_gpt_complete", "A login has ended.", LOGIN_ENDED),
    SentMessage("loginChatGptComplete", "The same under its later name.", LOGIN_ENDED),
    SentMessage("account/login/completed", "The same in the form of the app server.", LOGIN_ENDED),
    SentMessage("codex/event/auth_status_change", "Another credential is in force.", "`authMethod`"),
    SentMessage("authStatusChange", "The same under its later name.", "`authMethod`"),
    SentMessage("account/updated", "The same in the form of the app server.", "`authMode`, `planType`"),
    SentMessage(
        "codex/event/<type>",
        "What happens in a conversation that the client listens to.",
        "`conversationId`, `id` of the turn, `msg`: an event",
        beside="addConversationListener",
    ),
    SentMessage("notifications/message", "Something that is worth a line in a log.", "`level`, `logger`, `data`", LOG),
    SentMessage("notifications/resources/updated", "A resource that is subscribed to has changed.", "`uri`", SUBSCRIBE),
    SentMessage("notifications/resources/list_changed", "There are other conversations.", "none", "resources/list"),
    SentMessage("notifications/prompts/list_changed", "There are other prompts.", "none", "prompts/list"),
    SentMessage("notifications/tools/list_changed", "There are other tools.", "none", LISTEN),
    SentMessage(
        "notifications/subscriptions/acknowledged", "A stream is open.", "`notifications`: what it carries", LISTEN
    ),
    SentMessage("notifications/tasks", "A task stands otherwise.", "as `tasks/get` returns it", "tasks/get"),
)
"""What is told without being asked, as far as what leads to it is served."""

QUESTIONS: Final = (
    SentMessage(
        "elicitation/create",
        "A command or a patch needs the user's consent, or an MCP server an answer.",
        "`message`, `requestedSchema`, `threadId`, `codex_elicitation` (`exec-approval` or `patch-approval`), "
        "`codex_mcp_tool_call_id`, `codex_event_id`, `codex_call_id`; of a command `codex_command`, `codex_cwd`, "
        "`codex_parsed_cmd`; of a patch `codex_changes`, `codex_reason`",
    ),
    SentMessage(
        "execCommandApproval",
        "A command of a conversation that the client listens to needs the user's consent.",
        "`conversation_id`, `call_id`, `command`, `cwd`, `reason`",
        beside="addConversationListener",
    ),
    SentMessage(
        "applyPatchApproval",
        "A patch of such a conversation needs it.",
        "`conversation_id`, `call_id`, `file_changes`, `reason`",
        beside="addConversationListener",
    ),
)
"""What the client is asked. An answer has `action` (MCP) or `decision` (Codex)."""


class Code(NamedTuple):
    """An error of JSON-RPC."""

    number: int
    name: str
    cause: str


CODES: Final = (
    Code(-32700, "parse error", "A line is no JSON, no UTF-8 or longer than 256 MiB; the id is then null."),
    Code(-32600, "invalid request", "No message of JSON-RPC, an id that is in use, or what the state does not allow."),
    Code(-32601, "method not found", "There is no such method in this era; `data.method` repeats it."),
    Code(-32602, "invalid params", "The params do not fit; the text says where."),
    Code(-32603, "internal error", "The request failed for a reason of the server's own."),
)

KINDS: Final[Mapping[ErrorKind, str]] = {
    "internal": "A fault of the server.",
    "config": "A setting or an argument does not fit; the text names it.",
    "start_failed": "The conversation could not be started.",
    "worker_crashed": "The conversation's process died; the next `codex-reply` goes on from where it was saved.",
    "turn_aborted": "The turn was stopped on purpose.",
    "model_error": "The model's server refused, failed or broke off, and retrying is over.",
    "unauthorized": "There is no credential for the model, or it was refused.",
    "usage_limit": "The account has used up what it may use.",
    "prompt_too_long": "The message cannot fit into the model's context window and was not sent; "
    "`max_characters` says how long it may be, `characters` how long it is.",
    "approval_unavailable": "Consent was needed, and nobody could be asked.",
    "overloaded": "Too many calls or turns wait already.",
    "session_busy": "Another process has the conversation open.",
    "session_unknown": "There is no conversation under this id.",
    "session_unreadable": "The session file cannot be read back.",
    "session_unsaved": "The turn is complete and `content` has its answer, but the conversation cannot be saved.",
}
"""`structuredContent.error.kind` of a call that failed."""


def params_models(method: Method) -> tuple[type[msgspec.Struct], ...]:
    """Return the models of what a request of a method carries."""
    return tuple(_model(path) for path in method.params)


def served(told: tuple[SentMessage, ...]) -> list[SentMessage]:
    """Return the messages to clients that something leads to."""
    return [message for message in told if message.beside in METHODS]


def _model(path: str) -> type[msgspec.Struct]:
    module, _, name = path.rpartition(".")
    model: type[msgspec.Struct] = getattr(importlib.import_module(f"greenroom.protocol.{module}"), name)
    return model

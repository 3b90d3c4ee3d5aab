"""The whole wire as tables: each method, notification and error, in words and with the models of what it carries.

docs/wire.md and `greenroom schema` are made from here. Which methods there are is said in
`greenroom.protocol.methods` and
nowhere else; what a request carries is the model in this package whose docstring begins with "Params of `method`". A
method that has no line in `MEANINGS` fails a test, and so does a message to the client that is not listed here.
"""

import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final, NamedTuple

import msgspec

from greenroom import protocol
from greenroom.protocol.errors import ErrorKind
from greenroom.protocol.methods import HANDSHAKE_METHODS, LATER_METHODS, MODERN_METHODS

EARLY_METHODS: Final = ("initialize", "server/discover", "ping", "tools/list")
"""What is answered before the supervision tree is up."""

_PARAMS_OF: Final = re.compile(r"Params of ((?:`[^`]+`(?:, | and )?)+)")
_NAME: Final = re.compile(r"`([^`]+)`")

MEANINGS: Final[Mapping[str, str]] = {
    "initialize": "Opens a connection of the handshake eras. An unknown version is answered with the newest of them.",
    "server/discover": "What the server is and can, for clients that do no handshake.",
    "ping": "Whether the server lives.",
    "tools/list": "The tools. The cursor is ignored.",
    "tools/call": "Calls a tool, and is answered when that has ended.",
    "resources/list": "The conversations, as resources.",
    "resources/templates/list": "How addresses of resources are made.",
    "resources/read": "The transcript or the changes of a conversation.",
    "resources/subscribe": "Tells from now on of changes of a resource.",
    "resources/unsubscribe": "Tells no longer of changes of a resource.",
    "prompts/list": "The user's saved prompts.",
    "prompts/get": "A saved prompt with its arguments filled in.",
    "completion/complete": "How what the user has begun to type may go on.",
    "logging/setLevel": "From which level on the log is sent to the client.",
    "subscriptions/listen": "Opens a stream of notifications of the kinds that are asked for.",
    "tasks/get": "How a task stands, and its result once it has one.",
    "tasks/update": "Gives a task what it asked for.",
    "tasks/cancel": "Stops a task.",
    "getAuthStatus": "Which credential is in force, and on demand the token.",
    "loginChatGpt": "Begins a login in the browser; returns `loginId` and `authUrl`.",
    "cancelLoginChatGpt": "Ends a login that was begun.",
    "loginApiKey": "Saves an API key and uses it.",
    "logoutChatGpt": "Forgets the login.",
    "account/read": "Later form of `getAuthStatus`.",
    "account/login/start": "Later form of `loginChatGpt` and `loginApiKey`.",
    "account/login/cancel": "Later name of `cancelLoginChatGpt`.",
    "account/logout": "Later name of `logoutChatGpt`.",
    "newConversation": "Opens a conversation; returns `conversationId`, `model`, `rolloutPath`, `reasoningEffort`.",
    "sendUserMessage": "Gives a conversation its next message; returns at once.",
    "sendUserTurn": "The same with settings for this turn.",
    "interruptConversation": "Stops the running turn; returns `abortReason` when that has ended.",
    "addConversationListener": "Tells from now on of the events of a conversation; returns `subscriptionId`.",
    "removeConversationListener": "Ends that.",
    "listConversations": "The saved conversations, newest first, in pages.",
    "resumeConversation": "Takes up a saved conversation.",
    "archiveConversation": "Puts a saved conversation away.",
    "getUserSavedConfig": "What config.toml says.",
    "getConfigToml": "Earlier form of `getUserSavedConfig`, with fewer members.",
    "setDefaultModel": "Writes the model and the reasoning effort into config.toml.",
    "getUserAgent": "How the server names itself to model servers.",
    "userInfo": "The e-mail address of the login.",
    "execOneOffCommand": "Runs a command outside of any conversation, in the sandbox.",
    "fuzzyFileSearch": "Finds files by parts of their names.",
    "gitDiffToRemote": "The changes of a working tree since the nearest commit that a remote has.",
}
"""What each method is for."""


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
    "approval_unavailable": "Consent was needed, and nobody could be asked.",
    "overloaded": "Too many calls or turns wait already.",
    "session_busy": "Another process has the conversation open.",
    "session_unknown": "There is no conversation under this id.",
    "session_unreadable": "The session file cannot be read back.",
}
"""`structuredContent.error.kind` of a call that failed."""


class Method(NamedTuple):
    """A method that is served."""

    name: str
    eras: str
    params: tuple[type[msgspec.Struct], ...]
    """What may be given, of which each era reads its own; empty where nothing is read."""
    meaning: str | None


def methods() -> Iterator[Method]:
    """Return every method that is served, those of the connection itself first."""
    found = params_models()
    for name in (*EARLY_METHODS, *sorted(LATER_METHODS)):
        eras = "handshake" if name in HANDSHAKE_METHODS else "2026-07-28" if name in MODERN_METHODS else "all"
        yield Method(name, eras, tuple(found.get(name, ())), MEANINGS.get(name))


def served(told: tuple[SentMessage, ...]) -> list[SentMessage]:
    """Return the messages to clients that something leads to."""
    names = {*EARLY_METHODS, *LATER_METHODS}
    return [message for message in told if message.beside in names]


@cache
def params_models() -> Mapping[str, list[type[msgspec.Struct]]]:
    """Return the models of params in this package by the methods that their docstrings name."""
    found: defaultdict[str, list[type[msgspec.Struct]]] = defaultdict(list)
    for module in pkgutil.walk_packages(protocol.__path__, "greenroom.protocol."):
        for model in vars(importlib.import_module(module.name)).values():
            if isinstance(model, type) and issubclass(model, msgspec.Struct) and model.__module__ == module.name:
                named = _PARAMS_OF.match(model.__doc__ or "")
                for method in _NAME.findall(named[1]) if named is not None else ():
                    found[method].append(model)
    return found

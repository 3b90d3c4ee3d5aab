"""Every method that clients may call: in which revisions of MCP it exists, what it carries, and what it is for.

The front end's handlers, docs/wire.md and `greenroom schema` go by this table. Params are named and not imported: the
table is read before the first request is answered, and the models are needed later, if at all.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Eras: TypeAlias = Literal["all", "handshake", "stateless"]
"""`handshake` is MCP up to 2025-11-25, `stateless` is 2026-07-28."""


class Method(NamedTuple):
    """A method that is served."""

    meaning: str
    params: tuple[str, ...] = ()
    """Models of what may be given, below `greenroom.protocol`, of which each era reads its own; empty where nothing is
    read."""
    eras: Eras = "all"
    is_early: bool = False
    """Whether it is answered before the process tree is up."""


METHODS: Final[Mapping[str, Method]] = {
    # The connection itself
    "initialize": Method(
        "Opens a connection of the handshake eras. An unknown version is answered with the newest of them.",
        ("mcp.handshake.InitializeParams",),
        eras="handshake",
        is_early=True,
    ),
    "server/discover": Method(
        "What the server is and can, for clients that do no handshake.", eras="stateless", is_early=True
    ),
    "ping": Method("Whether the server lives.", eras="handshake", is_early=True),
    "tools/list": Method("The tools. The cursor is ignored.", is_early=True),
    # Tools
    "tools/call": Method(
        "Calls a tool, and is answered when that has ended.",
        (
            "mcp.handshake.CallToolParams",
            "mcp.stateless.RoundParams",
        ),
    ),
    # What clients find beside the tools
    "resources/list": Method("The conversations, as resources.", ("mcp.resources.PageParams",)),
    "resources/templates/list": Method("How addresses of resources are made.", ("mcp.resources.PageParams",)),
    "resources/read": Method("The transcript or the changes of a conversation.", ("mcp.resources.UriParams",)),
    "resources/subscribe": Method(
        "Tells from now on of changes of a resource.", ("mcp.resources.UriParams",), eras="handshake"
    ),
    "resources/unsubscribe": Method(
        "Tells no longer of changes of a resource.", ("mcp.resources.UriParams",), eras="handshake"
    ),
    "prompts/list": Method("The user's saved prompts.", ("mcp.resources.PageParams",)),
    "prompts/get": Method("A saved prompt with its arguments filled in.", ("mcp.resources.PromptParams",)),
    "completion/complete": Method("How what the user has begun to type may go on.", ("mcp.resources.CompleteParams",)),
    "logging/setLevel": Method(
        "From which level on the log is sent to the client.", ("mcp.resources.LevelParams",), eras="handshake"
    ),
    # Streams of changes, and calls that go on as tasks
    "subscriptions/listen": Method(
        "Opens a stream of notifications of the kinds that are asked for.",
        ("mcp.subscriptions.ListenParams",),
        eras="stateless",
    ),
    "tasks/get": Method(
        "How a task stands, and its result once it has one.", ("mcp.tasks.TaskParams",), eras="stateless"
    ),
    "tasks/update": Method("Gives a task what it asked for.", ("mcp.tasks.TaskParams",), eras="stateless"),
    "tasks/cancel": Method("Stops a task.", ("mcp.tasks.TaskParams",), eras="stateless"),
    # The credential, under its names of 2025 and later ones
    "getAuthStatus": Method("Which credential is in force, and on demand the token.", ("account_api.StatusParams",)),
    "loginChatGpt": Method("Begins a login in the browser; returns `loginId` and `authUrl`."),
    "cancelLoginChatGpt": Method("Ends a login that was begun.", ("account_api.LoginIdParams",)),
    "loginApiKey": Method("Saves an API key and uses it.", ("account_api.KeyParams",)),
    "logoutChatGpt": Method("Forgets the login."),
    "account/read": Method("Later form of `getAuthStatus`.", ("account_api.StatusParams",)),
    "account/login/start": Method("Later form of `loginChatGpt` and `loginApiKey`.", ("account_api.LoginParams",)),
    "account/login/cancel": Method("Later name of `cancelLoginChatGpt`.", ("account_api.LoginIdParams",)),
    "account/logout": Method("Later name of `logoutChatGpt`."),
    # The conversation API of 2025
    "newConversation": Method(
        "Opens a conversation; returns `conversationId`, `model`, `rolloutPath`, `reasoningEffort`.",
        ("conversation_api.NewConversation",),
    ),
    "sendUserMessage": Method(
        "Gives a conversation its next message; returns at once.", ("conversation_api.SendUserMessage",)
    ),
    "sendUserTurn": Method("The same with settings for this turn.", ("conversation_api.SendUserTurn",)),
    "interruptConversation": Method(
        "Stops the running turn; returns `abortReason` when that has ended.", ("conversation_api.Addressee",)
    ),
    "addConversationListener": Method(
        "Tells from now on of the events of a conversation; returns `subscriptionId`.", ("conversation_api.Addressee",)
    ),
    "removeConversationListener": Method("Ends that.", ("conversation_api.RemoveListener",)),
    "listConversations": Method(
        "The saved conversations, newest first, in pages.", ("conversation_api.ListConversations",)
    ),
    "resumeConversation": Method("Takes up a saved conversation.", ("conversation_api.ResumeConversation",)),
    "archiveConversation": Method("Puts a saved conversation away.", ("conversation_api.ArchiveConversation",)),
    "getUserSavedConfig": Method("What config.toml says."),
    "getConfigToml": Method("Earlier form of `getUserSavedConfig`, with fewer members."),
    "model/list": Method(
        "The models that are known, in pages, and the one that a conversation gets that names none.",
        ("conversation_api.ListModels",),
    ),
    "setDefaultModel": Method(
        "Writes the model and the reasoning effort into config.toml.", ("conversation_api.SetDefaultModel",)
    ),
    "getUserAgent": Method("How the server names itself to model servers."),
    "userInfo": Method("The e-mail address of the login."),
    "execOneOffCommand": Method(
        "Runs a command outside of any conversation, in the sandbox.", ("conversation_api.ExecOneOffCommand",)
    ),
    "fuzzyFileSearch": Method("Finds files by parts of their names.", ("conversation_api.FuzzyFileSearch",)),
    "gitDiffToRemote": Method(
        "The changes of a working tree since the nearest commit that a remote has.",
        ("conversation_api.GitDiffToRemote",),
    ),
}

LATE_METHODS: Final = frozenset(name for name, method in METHODS.items() if not method.is_early)
"""What waits until the process tree is up."""

FOREIGN_TO_STATELESS: Final = frozenset(name for name, method in METHODS.items() if method.eras == "handshake")
"""What a request without a handshake cannot call."""

FOREIGN_TO_HANDSHAKE: Final = frozenset(name for name, method in METHODS.items() if method.eras == "stateless")
"""What a client that did a handshake cannot call."""

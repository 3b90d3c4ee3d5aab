"""Every method that clients may call: the revisions of MCP that have it, its params, and its purpose.

The front end's handlers, docs/wire.md and `greenroom schema` are made from this table. Params are named and not
imported: the table is read before the first request is answered, and the models are needed later, if at all.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Eras: TypeAlias = Literal["all", "handshake", "stateless"]
"""`handshake` is MCP up to 2025-11-25, `stateless` is 2026-07-28."""


class Method(NamedTuple):
    """A method that the server implements."""

    meaning: str
    params: tuple[str, ...] = ()
    """Paths below `greenroom.protocol` of the structs for its params, one per era if they differ; empty if it reads no
    params."""
    eras: Eras = "all"
    is_early: bool = False
    """Whether it is answered before the process tree is running."""
    job_failure: str | None = None
    """How the error begins where the job fails that serves it as it is: the one that its params name
    (`greenroom.protocol.internal.jobs.JobParams`). `None` for a method with a handler of its own."""


METHODS: Final[Mapping[str, Method]] = {
    # The connection itself
    "initialize": Method(
        "Starts a connection with a handshake. An unknown version is answered with the newest supported one.",
        ("mcp.handshake.InitializeParams",),
        eras="handshake",
        is_early=True,
    ),
    "server/discover": Method(
        "Name, version and capabilities of the server, for clients without a handshake.",
        eras="stateless",
        is_early=True,
    ),
    "ping": Method("Checks that the server is alive.", eras="handshake", is_early=True),
    "tools/list": Method("The tools. The cursor is ignored.", is_early=True),
    # Tools
    "tools/call": Method(
        "Calls a tool; answered when the call has ended.",
        (
            "mcp.handshake.CallToolParams",
            "mcp.stateless.RoundParams",
        ),
    ),
    # What clients find beside the tools
    "resources/list": Method("The conversations, as resources.", ("mcp.resources.PageParams",)),
    "resources/templates/list": Method("The URI templates of the resources.", ("mcp.resources.PageParams",)),
    "resources/read": Method("The transcript or the diff of a conversation.", ("mcp.resources.UriParams",)),
    "resources/subscribe": Method(
        "Starts notifications about changes of a resource.", ("mcp.resources.UriParams",), eras="handshake"
    ),
    "resources/unsubscribe": Method(
        "Stops notifications about changes of a resource.", ("mcp.resources.UriParams",), eras="handshake"
    ),
    "prompts/list": Method("The user's saved prompts.", ("mcp.resources.PageParams",)),
    "prompts/get": Method("A saved prompt with its arguments substituted.", ("mcp.resources.PromptParams",)),
    "completion/complete": Method("Completions of a partly typed argument.", ("mcp.resources.CompleteParams",)),
    "logging/setLevel": Method(
        "Sets the minimum level of the log messages sent to the client.",
        ("mcp.resources.LevelParams",),
        eras="handshake",
    ),
    # Streams of changes, and calls that go on as tasks
    "subscriptions/listen": Method(
        "Opens a stream of the requested kinds of notifications.",
        ("mcp.subscriptions.ListenParams",),
        eras="stateless",
    ),
    "tasks/get": Method(
        "The state of a task, and its result once it has ended.", ("mcp.tasks.TaskParams",), eras="stateless"
    ),
    "tasks/update": Method("Answers a question of a task.", ("mcp.tasks.TaskParams",), eras="stateless"),
    "tasks/cancel": Method("Stops a task.", ("mcp.tasks.TaskParams",), eras="stateless"),
    # The credential, under its names of 2025 and later ones
    "getAuthStatus": Method("The current credential and, on request, its token.", ("account_api.StatusParams",)),
    "loginChatGpt": Method("Begins a login in the browser; returns `loginId` and `authUrl`."),
    "cancelLoginChatGpt": Method("Cancels a login in progress.", ("account_api.LoginIdParams",)),
    "loginApiKey": Method("Saves an API key and uses it.", ("account_api.KeyParams",)),
    "logoutChatGpt": Method("Deletes the login."),
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
        "Sends a message to a conversation; returns at once.", ("conversation_api.SendUserMessage",)
    ),
    "sendUserTurn": Method("Like `sendUserMessage`, with settings for this turn.", ("conversation_api.SendUserTurn",)),
    "interruptConversation": Method(
        "Stops the running turn; returns `abortReason` once it has ended.", ("conversation_api.Addressee",)
    ),
    "addConversationListener": Method(
        "Starts sending the events of a conversation; returns `subscriptionId`.", ("conversation_api.Addressee",)
    ),
    "removeConversationListener": Method(
        "Stops sending the events of a subscription.", ("conversation_api.RemoveListener",)
    ),
    "listConversations": Method(
        "The saved conversations, newest first, in pages.",
        ("conversation_api.ListConversations",),
        job_failure="failed to list conversations",
    ),
    "getConversationSummary": Method(
        "One saved conversation, named by its id or its file; returns `summary`, as an item of `listConversations`.",
        ("conversation_api.ConversationSummary",),
        job_failure="failed to summarize conversation",
    ),
    "resumeConversation": Method("Resumes a saved conversation.", ("conversation_api.ResumeConversation",)),
    "archiveConversation": Method("Archives a saved conversation.", ("conversation_api.ArchiveConversation",)),
    "getUserSavedConfig": Method("The contents of config.toml."),
    "getConfigToml": Method("Earlier form of `getUserSavedConfig`, with fewer members."),
    "model/list": Method(
        "The models that are known, in pages, and the one that a conversation gets that names none.",
        ("conversation_api.ListModels",),
        job_failure="failed to list models",
    ),
    "setDefaultModel": Method(
        "Writes the model and the reasoning effort into config.toml.",
        ("conversation_api.SetDefaultModel",),
        job_failure="failed to persist overrides",
    ),
    "getUserAgent": Method("The user agent that is sent to model servers."),
    "userInfo": Method("The e-mail address of the login."),
    "execOneOffCommand": Method(
        "Runs a command outside any conversation, in the sandbox.", ("conversation_api.ExecOneOffCommand",)
    ),
    "fuzzyFileSearch": Method("Fuzzy search for file names.", ("conversation_api.FuzzyFileSearch",)),
    "gitDiffToRemote": Method(
        "The diff of a working tree against the nearest commit that a remote has.",
        ("conversation_api.GitDiffToRemote",),
    ),
}

LATE_METHODS: Final = frozenset(name for name, method in METHODS.items() if not method.is_early)
"""Methods whose requests wait until the process tree is running."""

FOREIGN_TO_STATELESS: Final = frozenset(name for name, method in METHODS.items() if method.eras == "handshake")
"""Methods that a request without a handshake cannot call."""

FOREIGN_TO_HANDSHAKE: Final = frozenset(name for name, method in METHODS.items() if method.eras == "stateless")
"""Methods that a client with a handshake cannot call."""

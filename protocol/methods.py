"""The methods that need more than the connection, and those that not every era of the protocol has."""

from typing import Final

ACCOUNT_METHODS: Final = (
    "getAuthStatus",
    "loginChatGpt",
    "cancelLoginChatGpt",
    "loginApiKey",
    "logoutChatGpt",
    "account/read",
    "account/login/start",
    "account/login/cancel",
    "account/logout",
)
"""What clients see and change of the credential (spec/wire 4.10 to 4.12, spec/later 11.2)."""

TASK_METHODS: Final = ("tasks/get", "tasks/update", "tasks/cancel")
"""What clients ask about a call that goes on as a task, and do with it."""

FEATURE_METHODS: Final = (
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
)
"""What clients find beside the tools."""

API_METHODS: Final = (
    "newConversation",
    "sendUserMessage",
    "sendUserTurn",
    "interruptConversation",
    "addConversationListener",
    "removeConversationListener",
    "listConversations",
    "resumeConversation",
    "archiveConversation",
    "getUserSavedConfig",
    "getConfigToml",
    "setDefaultModel",
    "getUserAgent",
    "userInfo",
    "execOneOffCommand",
    "fuzzyFileSearch",
    "gitDiffToRemote",
)
"""The conversation API, but for the credential (spec/wire 4)."""

LATER_METHODS: Final = frozenset(
    {"tools/call", "subscriptions/listen", *FEATURE_METHODS, *TASK_METHODS, *ACCOUNT_METHODS, *API_METHODS}
)
"""What waits until the supervision tree is up."""

HANDSHAKE_METHODS: Final = frozenset(
    {"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"}
)
"""What only the eras with a handshake have."""

MODERN_METHODS: Final = frozenset({"server/discover", "subscriptions/listen", *TASK_METHODS})
"""What only the era without a handshake has."""

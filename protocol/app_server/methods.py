"""Every method of this protocol that the server implements, with its params and its purpose.

docs/app-server.md and `greenroom app-server generate-json-schema` are made from this table, and a test compares it with
the handlers. Params and results are named and not imported: few are needed before the first request is answered.
"""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class AppServerMethod(NamedTuple):
    """A method that the server implements."""

    meaning: str
    params: str
    """Path below `greenroom.protocol.app_server` of the struct for its params."""
    result: str
    """The same for its result."""


METHODS: Final[Mapping[str, AppServerMethod]] = {
    "initialize": AppServerMethod(
        "Starts a connection; the notification `initialized` follows.",
        *("connection.InitializeParams", "connection.InitializeResponse"),
    ),
    "thread/start": AppServerMethod(
        "Starts a thread, and tells the client of all that happens in it.",
        *("threads.ThreadStartParams", "thread.ThreadSettings"),
    ),
    "thread/resume": AppServerMethod(
        "Takes up a saved thread, or one that another client uses.",
        *("threads.ThreadResumeParams", "thread.ThreadSettings"),
    ),
    "thread/fork": AppServerMethod(
        "Starts a thread with a copy of the turns of another.", "threads.ThreadForkParams", "thread.ThreadSettings"
    ),
    "thread/list": AppServerMethod(
        "The saved threads, page by page.", "threads.ThreadListParams", "threads.ThreadListResponse"
    ),
    "thread/loaded/list": AppServerMethod(
        "The ids of the threads that are in use.",
        *("threads.ThreadLoadedListParams", "threads.ThreadLoadedListResponse"),
    ),
    "thread/read": AppServerMethod(
        "A thread, with its turns where they are wanted.", "threads.ThreadReadParams", "threads.ThreadResponse"
    ),
    "thread/turns/list": AppServerMethod(
        "The turns of a thread, page by page.", "threads.ThreadTurnsListParams", "threads.ThreadTurnsListResponse"
    ),
    "thread/items/list": AppServerMethod(
        "The items of a thread, page by page.", "threads.ThreadItemsListParams", "threads.ThreadItemsListResponse"
    ),
    "thread/name/set": AppServerMethod("Names a thread.", "threads.ThreadSetNameParams", "connection.Empty"),
    "thread/archive": AppServerMethod("Puts a thread aside.", "threads.ThreadIdParams", "connection.Empty"),
    "thread/unarchive": AppServerMethod("Lists a thread again.", "threads.ThreadIdParams", "threads.ThreadResponse"),
    "thread/delete": AppServerMethod("Deletes a thread and its file.", "threads.ThreadIdParams", "connection.Empty"),
    "thread/unsubscribe": AppServerMethod(
        "Tells the client no more of a thread.", "threads.ThreadIdParams", "threads.ThreadUnsubscribeResponse"
    ),
    "thread/compact/start": AppServerMethod(
        "Replaces the history of a thread by a summary, in a turn.", "threads.ThreadIdParams", "connection.Empty"
    ),
    "thread/inject_items": AppServerMethod(
        "Puts items behind the history of a thread.", "threads.ThreadInjectItemsParams", "connection.Empty"
    ),
    "thread/goal/set": AppServerMethod(
        "Sets the goal of a thread, or changes it; while it is active the thread goes on with it by itself.",
        *("goals.ThreadGoalSetParams", "goals.ThreadGoalSetResponse"),
    ),
    "thread/goal/get": AppServerMethod(
        "The goal of a thread.", "threads.ThreadIdParams", "goals.ThreadGoalGetResponse"
    ),
    "thread/goal/clear": AppServerMethod(
        "Removes the goal of a thread.", "goals.ThreadGoalClearParams", "goals.ThreadGoalClearResponse"
    ),
    "thread/shellCommand": AppServerMethod(
        "Runs a command of the user in a turn of its own, outside the sandbox; the model reads of it later.",
        *("threads.ThreadShellCommandParams", "connection.Empty"),
    ),
    "turn/start": AppServerMethod(
        "Starts a turn; where one runs already it follows that.",
        *("turns.TurnStartParams", "turns.TurnStartResponse"),
    ),
    "turn/steer": AppServerMethod("Says more in the running turn.", "turns.TurnSteerParams", "turns.TurnSteerResponse"),
    "turn/interrupt": AppServerMethod(
        "Stops a turn that runs or waits.", "turns.TurnInterruptParams", "connection.Empty"
    ),
    "thread/revert": AppServerMethod(
        "Takes back a turn and those that follow it.", "threads.ThreadRevertParams", "threads.ThreadResponse"
    ),
    "review/start": AppServerMethod(
        "Starts a turn that reviews changes.", "reviews.ReviewStartParams", "reviews.ReviewStartResponse"
    ),
    "command/exec": AppServerMethod(
        "Runs a command outside any thread, in the sandbox; answered when it has ended.",
        *("commands.CommandExecParams", "commands.CommandExecResponse"),
    ),
    "command/exec/write": AppServerMethod(
        "Writes to the input of a command, or ends it; answered when it is in the pipe or the terminal.",
        *("commands.CommandExecWriteParams", "connection.Empty"),
    ),
    "command/exec/resize": AppServerMethod(
        "Sets the size of a command's terminal.", "commands.CommandExecResizeParams", "connection.Empty"
    ),
    "command/exec/terminate": AppServerMethod(
        "Kills a command, and all that it has started.", "commands.CommandExecTerminateParams", "connection.Empty"
    ),
    "fs/readFile": AppServerMethod("Reads a file.", "files.FsPathParams", "files.FsReadFileResponse"),
    "fs/writeFile": AppServerMethod("Writes a whole file.", "files.FsWriteFileParams", "connection.Empty"),
    "fs/createDirectory": AppServerMethod("Creates a directory.", "files.FsCreateDirectoryParams", "connection.Empty"),
    "fs/getMetadata": AppServerMethod(
        "What kind of thing a path is, and when it was changed.", "files.FsPathParams", "files.FsGetMetadataResponse"
    ),
    "fs/readDirectory": AppServerMethod(
        "The entries of a directory.", "files.FsPathParams", "files.FsReadDirectoryResponse"
    ),
    "fs/remove": AppServerMethod("Removes a file or a directory.", "files.FsRemoveParams", "connection.Empty"),
    "fs/copy": AppServerMethod("Copies a file or a directory.", "files.FsCopyParams", "connection.Empty"),
    "fs/watch": AppServerMethod(
        "Tells the client of changes of a file, or of the entries of a directory.",
        *("files.FsWatchParams", "files.FsWatchResponse"),
    ),
    "fs/unwatch": AppServerMethod("Ends a watch.", "files.FsUnwatchParams", "connection.Empty"),
    "model/list": AppServerMethod(
        "The models that are known, and the one that a thread gets that names none.",
        *("account.ListModels", "account.ModelList"),
    ),
    "modelProvider/list": AppServerMethod(
        "The model providers of the configuration.", "connection.Nothing", "settings.ModelProviderListResponse"
    ),
    "account/read": AppServerMethod("The credential in force.", "account.StatusParams", "account.GetAccountResponse"),
    "account/rateLimits/read": AppServerMethod(
        "The account's limits, as its service tells them.",
        *("account.GetAccountRateLimitsParams", "account.GetAccountRateLimitsResponse"),
    ),
    "account/usage/read": AppServerMethod(
        "What the account has used, or what a thread has cost, as its service tells it.",
        *("account.GetAccountTokenUsageParams", "account.GetAccountTokenUsageResponse"),
    ),
    "account/workspaceMessages/read": AppServerMethod(
        "The messages of the account's workspace.", *("connection.Nothing", "account.GetWorkspaceMessagesResponse")
    ),
    "account/rateLimitResetCredit/consume": AppServerMethod(
        "Resets the account's limits, for a credit.",
        *("account.ConsumeResetCreditParams", "account.ConsumeResetCreditResponse"),
    ),
    "account/sendAddCreditsNudgeEmail": AppServerMethod(
        "Has the service ask the owner of the workspace for credits.",
        *("account.SendAddCreditsNudgeEmailParams", "account.SendAddCreditsNudgeEmailResponse"),
    ),
    "account/securitySetup/read": AppServerMethod(
        "A notice about the security of the account, where its service has one.",
        *("connection.Nothing", "account.GetAccountSecuritySetupResponse"),
    ),
    "account/login/start": AppServerMethod(
        "Begins a login, or saves an API key.", "account.LoginParams", "account.LoginAccountResponse"
    ),
    "account/login/cancel": AppServerMethod(
        "Cancels a login.", "account.LoginIdParams", "account.CancelLoginAccountResponse"
    ),
    "account/logout": AppServerMethod("Deletes the login.", "connection.Nothing", "connection.Empty"),
    "config/read": AppServerMethod(
        "The configuration, without what may be secret.", "settings.ConfigReadParams", "settings.ConfigReadResponse"
    ),
    "config/value/write": AppServerMethod(
        "Changes one setting of config.toml.", "settings.ConfigValueWriteParams", "settings.ConfigWriteResponse"
    ),
    "config/batchWrite": AppServerMethod(
        "Changes several settings, all or none.", "settings.ConfigBatchWriteParams", "settings.ConfigWriteResponse"
    ),
    "configRequirements/read": AppServerMethod(
        "What an administrator prescribes: nothing.",
        *("connection.Nothing", "settings.ConfigRequirementsReadResponse"),
    ),
    "permissionProfile/list": AppServerMethod(
        "The sandbox modes, as profiles.",
        *("settings.PermissionProfileListParams", "settings.PermissionProfileListResponse"),
    ),
    "hooks/list": AppServerMethod(
        "The hooks that run in a directory: none, as this program has none.",
        *("settings.HooksListParams", "settings.HooksListResponse"),
    ),
    "mcpServerStatus/list": AppServerMethod(
        "The MCP servers of a thread, or of the configuration, and what they offer.",
        *("mcp_servers.ListMcpServerStatusParams", "mcp_servers.ListMcpServerStatusResponse"),
    ),
    "mcpServer/tool/call": AppServerMethod(
        "Calls a tool of an MCP server of a thread, as the user's own call: without a question.",
        *("mcp_servers.McpServerToolCallParams", "mcp_servers.McpServerToolCallResponse"),
    ),
    "mcpServer/resource/read": AppServerMethod(
        "Reads a resource of an MCP server.",
        *("mcp_servers.McpResourceReadParams", "mcp_servers.McpResourceReadResponse"),
    ),
    "mcpServer/oauth/login": AppServerMethod(
        "Begins the login of an MCP server, in the user's browser.",
        *("mcp_servers.McpServerOauthLoginParams", "mcp_servers.McpServerOauthLoginResponse"),
    ),
    "config/mcpServer/reload": AppServerMethod(
        "Lets all threads take over the settings as they are now, each when it is idle.",
        *("connection.Nothing", "connection.Empty"),
    ),
    "skills/list": AppServerMethod(
        "The skills that threads are offered.", "settings.SkillsListParams", "skills.SkillsListResponse"
    ),
    "skills/config/write": AppServerMethod(
        "Switches a skill off or on, in config.toml.",
        *("skills.SkillsConfigWriteParams", "skills.SkillsConfigWriteResponse"),
    ),
    "skills/extraRoots/set": AppServerMethod(
        "Has the skills of the client's threads looked for in further folders.",
        *("skills.SkillsExtraRootsSetParams", "connection.Empty"),
    ),
    "fuzzyFileSearch": AppServerMethod(
        "Fuzzy search for file names.", "account.FuzzyFileSearch", "account.FuzzyFileSearchResponse"
    ),
}


class UnsupportedMethods(NamedTuple):
    """Methods that are not implemented for one reason."""

    reason: str
    names: tuple[str, ...]


UNSUPPORTED: Final[Mapping[str, UnsupportedMethods]] = {
    "logins of gateways": UnsupportedMethods(
        "No provider has a login of its own here: a provider's key or program is in its table.",
        ("account/gatewayOAuth/read", "account/gatewayOAuth/login", "account/gatewayOAuth/cancel"),
    ),
    "metadata": UnsupportedMethods(
        "The state of the repository is what it was when the thread began, as its session file says.",
        ("thread/metadata/update",),
    ),
    "sections": UnsupportedMethods(
        "They order threads in a database of the reference; session files have no place for them.",
        (
            *("thread/section/move", "threadSection/create", "threadSection/delete", "threadSection/list"),
            "threadSection/update",
        ),
    ),
    "attachments": UnsupportedMethods(
        "They are files of a database of the reference; input of a turn may hold images.",
        (
            *("thread/attachment/add", "thread/attachment/list", "thread/attachment/remove"),
            "thread/attachmentOwner/list",
        ),
    ),
    "approvals": UnsupportedMethods(
        "A decision of the reviewer is final; the user can say what is wanted in a message.",
        ("thread/approveGuardianDeniedAction",),
    ),
    "capabilities of providers": UnsupportedMethods(
        "What a model can do depends on the model and the settings of a thread, not on its provider.",
        ("modelProvider/capabilities/read",),
    ),
    "settings of providers": UnsupportedMethods(
        "They are settings as others are: `config/read` and `config/batchWrite` serve for them.",
        ("modelProvider/config/write", "modelProvider/default/set"),
    ),
    "apps": UnsupportedMethods("They belong to plugins.", ("app/list", "app/read", "app/installed")),
    "plugins": UnsupportedMethods(
        "There are none: MCP servers and skills are set up one by one.",
        (
            *("plugin/list", "plugin/installed", "plugin/read", "plugin/install", "plugin/uninstall"),
            *("plugin/reconcile", "plugin/skill/read", "plugin/share/checkout", "plugin/share/delete"),
            *("plugin/share/list", "plugin/share/save", "plugin/share/updateTargets"),
            *("marketplace/add", "marketplace/remove", "marketplace/upgrade"),
        ),
    ),
    "experimental features": UnsupportedMethods(
        "They are switches of the reference's own parts.",
        ("experimentalFeature/list", "experimentalFeature/enablement/set"),
    ),
    "feedback": UnsupportedMethods(
        "It would go to the maker of the reference, about another program.", ("feedback/save", "feedback/upload")
    ),
    "other agents": UnsupportedMethods(
        "Settings and histories of other agents are not taken over.",
        (
            *("externalAgentConfig/detect", "externalAgentConfig/import", "externalAgentConfig/import/readHistories"),
            "externalAgentConfig/import/recordHistory",
        ),
    ),
    "Windows": UnsupportedMethods(
        "This program runs on Linux and macOS.", ("windowsSandbox/readiness", "windowsSandbox/setupStart")
    ),
}
"""Stable methods of the reference that are answered with an error that names them, by what they are about."""


def struct_of(path: str) -> type[msgspec.Struct]:
    """Return the struct that a row of the table names."""
    module, _, name = path.rpartition(".")
    struct: type[msgspec.Struct] = getattr(importlib.import_module(f"greenroom.protocol.app_server.{module}"), name)
    return struct

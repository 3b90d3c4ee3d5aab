"""Every method of this protocol that the server implements, with its params and its purpose.

docs/app-server.md and `greenroom app-server generate-json-schema` go by this table, and a test compares it with the
handlers. Params and results are named and not imported: few are needed before the first request is answered.
"""

import importlib
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec


class Method(NamedTuple):
    """A method that the server implements."""

    meaning: str
    params: str
    """Path below `greenroom.protocol.app_server` of the struct for its params."""
    result: str
    """The same for its result."""


METHODS: Final[Mapping[str, Method]] = {
    "initialize": Method(
        "Starts a connection; the notification `initialized` follows.",
        *("connection.InitializeParams", "connection.InitializeResponse"),
    ),
    "thread/start": Method(
        "Starts a thread, and tells the client of all that happens in it.",
        *("threads.ThreadStartParams", "thread.ThreadSettings"),
    ),
    "thread/resume": Method(
        "Takes up a saved thread, or one that another client uses.",
        *("threads.ThreadResumeParams", "thread.ThreadSettings"),
    ),
    "thread/fork": Method(
        "Starts a thread with a copy of the turns of another.", "threads.ThreadForkParams", "thread.ThreadSettings"
    ),
    "thread/list": Method("The saved threads, page by page.", "threads.ThreadListParams", "threads.ThreadListResponse"),
    "thread/loaded/list": Method(
        "The ids of the threads that are in use.",
        *("threads.ThreadLoadedListParams", "threads.ThreadLoadedListResponse"),
    ),
    "thread/read": Method(
        "A thread, with its turns where they are wanted.", "threads.ThreadReadParams", "threads.ThreadResponse"
    ),
    "thread/turns/list": Method(
        "The turns of a thread, page by page.", "threads.ThreadTurnsListParams", "threads.ThreadTurnsListResponse"
    ),
    "thread/items/list": Method(
        "The items of a thread, page by page.", "threads.ThreadItemsListParams", "threads.ThreadItemsListResponse"
    ),
    "thread/name/set": Method("Names a thread.", "threads.ThreadSetNameParams", "connection.Empty"),
    "thread/archive": Method("Puts a thread aside.", "threads.ThreadIdParams", "connection.Empty"),
    "thread/unarchive": Method("Lists a thread again.", "threads.ThreadIdParams", "threads.ThreadResponse"),
    "thread/delete": Method("Deletes a thread and its file.", "threads.ThreadIdParams", "connection.Empty"),
    "thread/unsubscribe": Method(
        "Tells the client no more of a thread.", "threads.ThreadIdParams", "threads.ThreadUnsubscribeResponse"
    ),
    "thread/compact/start": Method(
        "Replaces the history of a thread by a summary, in a turn.", "threads.ThreadIdParams", "connection.Empty"
    ),
    "thread/inject_items": Method(
        "Puts items behind the history of a thread.", "threads.ThreadInjectItemsParams", "connection.Empty"
    ),
    "thread/shellCommand": Method(
        "Runs a command of the user in a turn of its own, outside the sandbox; the model reads of it later.",
        *("threads.ThreadShellCommandParams", "connection.Empty"),
    ),
    "turn/start": Method(
        "Starts a turn; where one runs already it follows that.",
        *("turns.TurnStartParams", "turns.TurnStartResponse"),
    ),
    "turn/steer": Method("Says more in the running turn.", "turns.TurnSteerParams", "turns.TurnSteerResponse"),
    "turn/interrupt": Method("Stops a turn that runs or waits.", "turns.TurnInterruptParams", "connection.Empty"),
    "thread/revert": Method(
        "Takes back a turn and those that follow it.", "threads.ThreadRevertParams", "threads.ThreadResponse"
    ),
    "review/start": Method(
        "Starts a turn that reviews changes.", "reviews.ReviewStartParams", "reviews.ReviewStartResponse"
    ),
    "command/exec": Method(
        "Runs a command outside any thread, in the sandbox; answered when it has ended.",
        *("commands.CommandExecParams", "commands.CommandExecResponse"),
    ),
    "command/exec/write": Method(
        "Writes to the input of a command, or ends it; answered when the command has taken it.",
        *("commands.CommandExecWriteParams", "connection.Empty"),
    ),
    "command/exec/resize": Method(
        "Sets the size of a command's terminal.", "commands.CommandExecResizeParams", "connection.Empty"
    ),
    "command/exec/terminate": Method(
        "Kills a command, and all that it has started.", "commands.CommandExecTerminateParams", "connection.Empty"
    ),
    "fs/readFile": Method("Reads a file.", "files.FsPathParams", "files.FsReadFileResponse"),
    "fs/writeFile": Method("Writes a whole file.", "files.FsWriteFileParams", "connection.Empty"),
    "fs/createDirectory": Method("Creates a directory.", "files.FsCreateDirectoryParams", "connection.Empty"),
    "fs/getMetadata": Method(
        "What kind of thing a path is, and when it was changed.", "files.FsPathParams", "files.FsGetMetadataResponse"
    ),
    "fs/readDirectory": Method("The entries of a directory.", "files.FsPathParams", "files.FsReadDirectoryResponse"),
    "fs/remove": Method("Removes a file or a directory.", "files.FsRemoveParams", "connection.Empty"),
    "fs/copy": Method("Copies a file or a directory.", "files.FsCopyParams", "connection.Empty"),
    "fs/watch": Method(
        "Tells the client of changes of a file, or of the entries of a directory.",
        *("files.FsWatchParams", "files.FsWatchResponse"),
    ),
    "fs/unwatch": Method("Ends a watch.", "files.FsUnwatchParams", "connection.Empty"),
    "model/list": Method(
        "The models that are known, and the one that a thread gets that names none.",
        *("account.ListModels", "account.ModelList"),
    ),
    "modelProvider/list": Method(
        "The model providers of the configuration.", "connection.Nothing", "settings.ModelProviderListResponse"
    ),
    "account/read": Method("The credential in force.", "account.StatusParams", "account.GetAccountResponse"),
    "account/rateLimits/read": Method(
        "What the model's server has told last of the account's limits.",
        *("connection.Nothing", "account.GetAccountRateLimitsResponse"),
    ),
    "account/login/start": Method(
        "Begins a login, or saves an API key.", "account.LoginParams", "account.LoginAccountResponse"
    ),
    "account/login/cancel": Method("Cancels a login.", "account.LoginIdParams", "account.CancelLoginAccountResponse"),
    "account/logout": Method("Deletes the login.", "connection.Nothing", "connection.Empty"),
    "config/read": Method(
        "The configuration, without what may be secret.", "settings.ConfigReadParams", "settings.ConfigReadResponse"
    ),
    "config/value/write": Method(
        "Changes one setting of config.toml.", "settings.ConfigValueWriteParams", "settings.ConfigWriteResponse"
    ),
    "config/batchWrite": Method(
        "Changes several settings, all or none.", "settings.ConfigBatchWriteParams", "settings.ConfigWriteResponse"
    ),
    "configRequirements/read": Method(
        "What an administrator prescribes: nothing.",
        *("connection.Nothing", "settings.ConfigRequirementsReadResponse"),
    ),
    "permissionProfile/list": Method(
        "The sandbox modes, as profiles.",
        *("settings.PermissionProfileListParams", "settings.PermissionProfileListResponse"),
    ),
    "hooks/list": Method(
        "The hooks that run in a directory: none, as this program has none.",
        *("settings.HooksListParams", "settings.HooksListResponse"),
    ),
    "mcpServerStatus/list": Method(
        "The MCP servers of a thread, or of the configuration, and what they offer.",
        *("mcp_servers.ListMcpServerStatusParams", "mcp_servers.ListMcpServerStatusResponse"),
    ),
    "mcpServer/tool/call": Method(
        "Calls a tool of an MCP server of a thread, as the user's own call: without a question.",
        *("mcp_servers.McpServerToolCallParams", "mcp_servers.McpServerToolCallResponse"),
    ),
    "mcpServer/resource/read": Method(
        "Reads a resource of an MCP server.",
        *("mcp_servers.McpResourceReadParams", "mcp_servers.McpResourceReadResponse"),
    ),
    "config/mcpServer/reload": Method(
        "Lets all threads take over the settings as they are now, each when it is idle.",
        *("connection.Nothing", "connection.Empty"),
    ),
    "skills/list": Method(
        "The skills that threads are offered.", "settings.SkillsListParams", "skills.SkillsListResponse"
    ),
    "fuzzyFileSearch": Method(
        "Fuzzy search for file names.", "account.FuzzyFileSearch", "account.FuzzyFileSearchResponse"
    ),
}

UNSUPPORTED: Final[Mapping[str, tuple[str, ...]]] = {
    "account": (
        *("account/usage/read", "account/workspaceMessages/read"),
        *("account/gatewayOAuth/read", "account/gatewayOAuth/login", "account/gatewayOAuth/cancel"),
        *("account/rateLimitResetCredit/consume", "account/securitySetup/read", "account/sendAddCreditsNudgeEmail"),
    ),
    "threads": (
        *("thread/goal/set", "thread/goal/get", "thread/goal/clear"),
        *("thread/metadata/update", "thread/approveGuardianDeniedAction", "thread/section/move"),
        *("thread/attachment/add", "thread/attachment/list", "thread/attachment/remove", "thread/attachmentOwner/list"),
        *("threadSection/create", "threadSection/delete", "threadSection/list", "threadSection/update"),
    ),
    "MCP servers": ("mcpServer/oauth/login",),
    "models": ("modelProvider/capabilities/read", "modelProvider/config/write", "modelProvider/default/set"),
    "skills, hooks, plugins, apps": (
        *("skills/config/write", "skills/extraRoots/set", "app/list", "app/read", "app/installed"),
        *("plugin/list", "plugin/installed", "plugin/read", "plugin/install", "plugin/uninstall", "plugin/reconcile"),
        *("plugin/skill/read", "plugin/share/checkout", "plugin/share/delete", "plugin/share/list"),
        *("plugin/share/save", "plugin/share/updateTargets"),
        *("marketplace/add", "marketplace/remove", "marketplace/upgrade"),
    ),
    "others": (
        *("experimentalFeature/list", "experimentalFeature/enablement/set", "feedback/save", "feedback/upload"),
        *("externalAgentConfig/detect", "externalAgentConfig/import", "externalAgentConfig/import/readHistories"),
        *("externalAgentConfig/import/recordHistory", "windowsSandbox/readiness", "windowsSandbox/setupStart"),
    ),
}
"""Stable methods of the reference that are answered with an error that names them, by what they are about."""


def struct_of(path: str) -> type[msgspec.Struct]:
    """Return the struct that a row of the table names."""
    module, _, name = path.rpartition(".")
    struct: type[msgspec.Struct] = getattr(importlib.import_module(f"greenroom.protocol.app_server.{module}"), name)
    return struct

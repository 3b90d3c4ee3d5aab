"""Reads the part of `config.toml` that clients show and change, with the file's values."""

import os
from typing import Final

import msgspec

from greenroom.config.document import Table, read_document
from greenroom.config.layers import CONFIG_FILE
from greenroom.config.schema import ConfigFile
from greenroom.config.tolerance import read_tolerantly
from greenroom.protocol.conversation_api import SavedConfig
from greenroom.protocol.errors import ConfigError
from greenroom.workers.job_context import JobError, Setting

_TOP: Final = {
    "approval_policy": "approvalPolicy",
    "sandbox_mode": "sandboxMode",
    "model": "model",
    "model_reasoning_effort": "modelReasoningEffort",
    "model_reasoning_summary": "modelReasoningSummary",
    "model_verbosity": "modelVerbosity",
    "profile": "profile",
}
_SANDBOX: Final = {
    "writable_roots": "writableRoots",
    "network_access": "networkAccess",
    "exclude_tmpdir_env_var": "excludeTmpdirEnvVar",
    "exclude_slash_tmp": "excludeSlashTmp",
}
_PROFILE: Final = {
    "model": "model",
    "model_provider": "modelProvider",
    "approval_policy": "approvalPolicy",
    "model_reasoning_effort": "modelReasoningEffort",
    "model_reasoning_summary": "modelReasoningSummary",
    "model_verbosity": "modelVerbosity",
    "chatgpt_base_url": "chatgptBaseUrl",
}


_EARLY_TOP: Final[tuple[str, ...]] = ("approvalPolicy", "sandboxMode", "modelReasoningEffort", "profile")
_EARLY_PROFILE: Final[tuple[str, ...]] = ("model", "approvalPolicy", "modelReasoningEffort")


async def run(params: bytes, setting: Setting) -> bytes:
    """Return the result of `getUserSavedConfig`, or of `getConfigToml`. Raises `JobError`."""
    form = msgspec.json.decode(params, type=SavedConfig).form
    try:
        table = read_document(os.path.join(setting.home, CONFIG_FILE))
    except ConfigError as error:
        raise JobError(f"failed to load config.toml: {error}") from error
    try:
        read = read_tolerantly(table)
    except ConfigError as error:
        raise JobError(f"failed to parse config.toml: {error}") from error
    return msgspec.json.encode(_rendered(read.table, read.file, form))


def _rendered(table: Table, file: ConfigFile, form: str) -> dict[str, object]:
    return early(table, file) if form == "early" else {"config": saved(table, file)}


def saved(table: Table, file: ConfigFile) -> dict[str, object]:
    """Return the values that the file sets; unset members are left out, except those of profiles."""
    values = {new: getattr(file, old) for old, new in _TOP.items() if old in table}
    if "sandbox_workspace_write" in table:
        workspace = file.sandbox_workspace_write
        values["sandboxSettings"] = {new: getattr(workspace, old) for old, new in _SANDBOX.items()}
    if tools := _tools(_table(table.get("tools"))):
        values["tools"] = tools
    return {**values, "profiles": _profiles(table)}


def early(table: Table, file: ConfigFile) -> dict[str, object]:
    """Return those of the values that the result had before `getUserSavedConfig` existed."""
    values = saved(table, file)
    top = {member: values[member] for member in _EARLY_TOP if member in values}
    profiles = {
        name: {member: profile[member] for member in _EARLY_PROFILE} for name, profile in _profiles(table).items()
    }
    return {**top, "profiles": profiles} if profiles else top


def _profiles(table: Table) -> dict[str, dict[str, object]]:
    return {name: _renamed(_table(profile)) for name, profile in _table(table.get("profiles")).items()}


def _renamed(profile: Table) -> dict[str, object]:
    return {new: profile.get(old) for old, new in _PROFILE.items()}


def _tools(tools: Table) -> dict[str, object]:
    search = tools.get("web_search", tools.get("web_search_request"))
    switches = {"webSearch": search, "viewImage": tools.get("view_image")}
    return {name: bool(value) for name, value in switches.items() if value is not None}


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}

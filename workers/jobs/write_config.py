"""Writes settings into `config.toml` for a client, all of them or none, preserving everything else."""

import os
import tomllib
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

import msgspec
import tomlkit

from greenroom.config.layers import CONFIG_FILE
from greenroom.config.schema import ConfigFile
from greenroom.config.section import check
from greenroom.protocol.app_server.settings import ConfigBatchWriteParams, ConfigEdit, ConfigWriteResponse
from greenroom.protocol.errors import ConfigError
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.config_file import change_config

CONFLICT: Final = "configVersionConflict"
INVALID: Final = "configValidationError"
READ_ONLY: Final = "configLayerReadonly"
"""How clients tell the reasons for a refusal apart; the text of the error begins with one of them."""


async def run(params: bytes, setting: Setting) -> bytes:
    """Change the file and return a `ConfigWriteResponse`. Raises `JobError`; the file is then unchanged."""
    wanted = msgspec.json.decode(params, type=ConfigBatchWriteParams)

    def change(text: str, version: str) -> str:
        if wanted.expected_version not in (None, version):
            raise JobError(f"{CONFLICT}: the file has been changed since it was read; read it again")
        return with_edits(text, wanted.edits)

    path = os.path.realpath(os.path.join(setting.home, CONFIG_FILE))
    if wanted.file_path is not None and os.path.realpath(wanted.file_path) != path:
        raise JobError(f"{READ_ONLY}: only {path} can be written")
    written = change_config(setting.home, change)
    return msgspec.json.encode(ConfigWriteResponse(status="ok", version=written.version, file_path=written.path))


def with_edits(text: str, edits: Sequence[ConfigEdit]) -> str:
    """Return the text of the file with all edits. Raises `JobError` if a setting would be invalid by them."""
    document = tomlkit.parse(text)
    before = _faults(text)
    for edit in edits:
        _apply(document, key_of(edit.key_path), edit)
    result = tomlkit.dumps(document)
    fault = _faults(result)
    if fault is not None and fault != before:
        raise JobError(f"{INVALID}: {fault}")
    return result


def key_of(path: str) -> list[str]:
    """Return the parts of a dotted key. Raises `JobError`."""
    if "\n" in path or "#" in path:
        raise JobError(f"{INVALID}: invalid key: {path!r}")
    try:
        table: object = tomllib.loads(f"{path} = 0")
    except ValueError:
        raise JobError(f"{INVALID}: invalid key: {path!r}") from None
    parts: list[str] = []
    while isinstance(table, dict) and len(table) == 1:
        ((part, table),) = table.items()
        parts.append(part)
    if table != 0:
        raise JobError(f"{INVALID}: invalid key: {path!r}")
    return parts


def _apply(document: MutableMapping[str, Any], parts: Sequence[str], edit: ConfigEdit) -> None:
    *parents, last = parts
    table = document
    for part in parents:
        below = table.get(part)
        if below is None and edit.value is None:
            return
        if below is None:
            table[part] = tomlkit.table(is_super_table=True)
            below = table[part]
        if not isinstance(below, MutableMapping):
            raise JobError(f"{INVALID}: `{part}` of `{edit.key_path}` is no table")
        table = below
    if edit.value is None:
        table.pop(last, None)
    elif edit.merge_strategy == "upsert" and isinstance(edit.value, dict) and isinstance(table.get(last), dict):
        _merge(table[last], edit.value)
    else:
        table[last] = without_nulls(edit.value)


def _merge(table: MutableMapping[str, Any], value: dict[str, Any]) -> None:
    for key, member in value.items():
        if member is None:
            table.pop(key, None)
        elif isinstance(member, dict) and isinstance(table.get(key), MutableMapping):
            _merge(table[key], member)
        else:
            table[key] = without_nulls(member)


def without_nulls(value: Any) -> Any:
    """Return a value without members that are null, which TOML does not have."""
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return [without_nulls(member) for member in value if member is not None] if isinstance(value, list) else value


def _faults(text: str) -> str | None:
    """Return what is wrong with the settings of a file, `None` if nothing is."""
    try:
        check(ConfigFile, tomllib.loads(text))
    except ConfigError as error:
        return str(error)
    return None

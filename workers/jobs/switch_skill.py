"""Switches a skill off or on in `config.toml`, in the list `skills.config`, preserving everything else."""

import os
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import msgspec
import tomlkit
from tomlkit.items import AoT

from greenroom.protocol.app_server.skills import SkillsConfigWriteParams, SkillsConfigWriteResponse
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs.config_file import change_config

_NO_LIST: Final = "configValidationError: `skills.config` is no list of tables, so it is left alone"


async def run(params: bytes, setting: Setting) -> bytes:
    """Change the file. Raises `JobError`; the file is then unchanged."""
    wanted = msgspec.json.decode(params, type=SkillsConfigWriteParams)
    change_config(setting.home, lambda text, _: with_skill(text, wanted))
    return msgspec.json.encode(SkillsConfigWriteResponse(effective_enabled=wanted.enabled))


def with_skill(text: str, wanted: SkillsConfigWriteParams) -> str:
    """Return the text of the file with one entry for the skill if it is off, and none if it is on."""
    document = tomlkit.parse(text)
    skills = document.get("skills", {})
    entries = skills.get("config", []) if isinstance(skills, MutableMapping) else None
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise JobError(_NO_LIST)
    for place in reversed(range(len(entries))):
        if _is_about(entries[place], wanted):
            del entries[place]
    if not wanted.enabled:
        _append(document, entries, wanted)
    elif not entries and "config" in skills:
        del skills["config"]
        if not skills:
            del document["skills"]
    return tomlkit.dumps(document)


def _is_about(entry: Mapping[str, object], wanted: SkillsConfigWriteParams) -> bool:
    if wanted.name is not None:
        return entry.get("name") == wanted.name and "path" not in entry
    path = entry.get("path")
    return isinstance(path, str) and os.path.normpath(path) == os.path.normpath(str(wanted.path))


def _append(document: MutableMapping[str, Any], entries: list[Any], wanted: SkillsConfigWriteParams) -> None:
    entry = tomlkit.table() if isinstance(entries, AoT) or not entries else tomlkit.inline_table()
    key, value = ("name", wanted.name) if wanted.name is not None else ("path", wanted.path)
    entry.append(key, value)
    entry.append("enabled", False)
    if entries:
        entries.append(entry)
        return
    fresh = tomlkit.aot()
    fresh.append(entry)
    skills = document.get("skills")
    if skills is None:
        skills = document["skills"] = tomlkit.table(is_super_table=True)
    skills["config"] = fresh

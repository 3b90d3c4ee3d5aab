"""Lists the skills that a thread would be offered. Blocks: run it on a thread."""

import os
from collections.abc import Sequence

from greenroom.config.reader import Reader
from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.protocol.app_server.skills import SkillErrorInfo, SkillMetadata, SkillsListEntry
from greenroom.workers.conversation.prompt.skills import skills_of


def list_skills(home: str, cli_overrides: Sequence[str], cwd: str, roots: tuple[str, ...]) -> SkillsListEntry:
    """Return the skills of threads in a directory, those switched off too. Raises `ConfigError`.

    `roots`: folders in which skills are looked for beside the usual ones.
    """
    overrides = ConversationOverrides(cwd=cwd, skill_roots=roots)
    settings = resolve_settings(home, cli_overrides, overrides, os.getcwd(), os.environ)
    found = skills_of(settings, Reader(home))
    skills = [
        SkillMetadata(
            name=skill.name,
            description=skill.description,
            path=skill.path,
            scope=skill.scope,
            enabled=skill.enabled,
            short_description=skill.short_description,
        )
        for skill in found.skills
    ]
    errors = [SkillErrorInfo(path=fault.path, message=fault.message) for fault in found.faults]
    return SkillsListEntry(cwd=cwd, skills=skills, errors=errors)

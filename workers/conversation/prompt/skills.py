"""What the model is told of the user's skills: all of them by name, and those that a message names as a whole."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from greenroom.config.home import user_home
from greenroom.config.reader import Reader
from greenroom.config.reason import reason
from greenroom.config.settings import Settings
from greenroom.config.skills import FoundSkills, Skill, find_skills, read_skill
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.items import JsonObject
from greenroom.workers.conversation.prompt import prompt
from greenroom.workers.conversation.prompt.project_doc import project_directories

LIST_BYTES: Final = 16 * 1024
"""Size of the list that the model is told."""
LONGEST_DESCRIPTION: Final = 500
"""Characters of a description in the list."""
MOST_MENTIONED: Final = 10
"""Skills that one message can add."""

_MENTION: Final = re.compile(r"(?<![\w$])\$([A-Za-z0-9][\w:.-]*)")
_INTRODUCTION: Final = (
    "A skill is a folder with instructions for one kind of task, in its file SKILL.md. When the user names a skill, or "
    "a task is plainly of the kind that one describes, read that file first and follow it; paths in it are relative to "
    "its folder. Read further files of the folder only as far as you need them. Otherwise leave skills alone."
)


def skills_of(settings: Settings, reader: Reader, directories: Sequence[str] | None = None) -> FoundSkills:
    """Return the skills that apply to a conversation, as they are now.

    `directories` are those of its project (`project_directories`), where they are known.
    """
    try:
        own = user_home(os.environ)
    except ConfigError:
        own = None
    if directories is None:
        directories = project_directories(settings.cwd, settings.project_root_markers)
    return find_skills(reader, own, directories, settings.disabled_skills, settings.skill_roots)


def skills_text(skills: Sequence[Skill]) -> str | None:
    """Return the list for the model; `None` if there are no skills. What does not fit is counted in its last line."""
    if not skills:
        return None
    lines: list[str] = []
    room = LIST_BYTES
    for skill in skills:
        line = f"- {skill.name}: {_shortened(skill.description)} (file: {skill.path})"
        room -= len(line.encode("utf-8", "replace")) + 1
        if room < 0:
            lines.append(f"- and {len(skills) - len(lines)} more, for which there is no room here")
            break
        lines.append(line)
    return "\n".join(("<skills_instructions>", _INTRODUCTION, *lines, "</skills_instructions>"))


def _shortened(description: str) -> str:
    whole = len(description) <= LONGEST_DESCRIPTION
    return description if whole else f"{description[:LONGEST_DESCRIPTION]}…"


def may_mention(items: Iterable[Mapping[str, object]]) -> bool:
    """Tell whether input items can name a skill, without looking for skills."""
    return any(
        item.get("type") == "skill" or (isinstance(text := item.get("text"), str) and "$" in text) for item in items
    )


class SkillMentions:
    """The skills that one message of the user names, as `$name` in its text or as an item of its own."""

    def __init__(self, items: Iterable[Mapping[str, object]], skills: Sequence[Skill], reader: Reader) -> None:
        self.messages: list[JsonObject] = []
        """One message for each skill, in the order of the list."""
        self.notes: list[str] = []
        """What could not be added, for the user."""
        chosen = self._chosen(list(items), skills)
        for skill in chosen[:MOST_MENTIONED]:
            self._add(skill, reader)
        if len(chosen) > MOST_MENTIONED:
            self.notes.append(f"Of the skills that the message names only {MOST_MENTIONED} are added.")

    def _chosen(self, items: Sequence[Mapping[str, object]], skills: Sequence[Skill]) -> list[Skill]:
        paths = {item.get("path") for item in items if item.get("type") == "skill"}
        texts = [text for item in items if item.get("type") == "text" and isinstance(text := item.get("text"), str)]
        names = {name for text in texts for mention in _MENTION.findall(text) for name in _readings(mention)}
        chosen: list[Skill] = []
        for skill in skills:
            if skill.path in paths or os.path.dirname(skill.path) in paths:
                chosen.append(skill)
            elif skill.name in names:
                same = [other for other in skills if other.name == skill.name]
                if len(same) == 1:
                    chosen.append(skill)
                elif same[0] is skill:
                    places = ", ".join(other.path for other in same)
                    self.notes.append(f"There are several skills `{skill.name}`, so none is added: {places}.")
        return chosen

    def _add(self, skill: Skill, reader: Reader) -> None:
        try:
            text = read_skill(reader, skill.path)
        except (OSError, ValueError) as error:
            self.notes.append(f"The skill {skill.path} could not be read: {reason(error)}.")
            return
        content = f"<skill>\n<name>{skill.name}</name>\n<path>{skill.path}</path>\n{text}\n</skill>"
        message = prompt.message("user", content)
        assert message is not None, "it has text"
        self.messages.append(message)


def _readings(mention: str) -> set[str]:
    """Return what a mention may be, since punctuation after a name also fits into one."""
    return {mention, mention.rstrip(":.-")}

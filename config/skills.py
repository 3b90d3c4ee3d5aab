"""Skills: instructions for a kind of task, each a folder with a file `SKILL.md`, of the user and of a project.

Its front matter has a `description` and, unless that is the folder's, a `name`. Skills are looked for in
`.agents/skills` and `.codex/skills` of each directory from the project's root down to the working directory, in
`skills` of the Codex home, in `~/.agents/skills`, in `skills/.system` of the Codex home, and in `/etc/codex/skills`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, Literal, TypeAlias

import msgspec

from greenroom.config.document import Table
from greenroom.config.encoding import decode_text
from greenroom.config.front_matter import FrontMatterError, read_front_matter
from greenroom.config.reader import Reader
from greenroom.config.reason import reason

SkillScope: TypeAlias = Literal["repo", "user", "system", "admin"]

FILE: Final = "SKILL.md"
FOLDER: Final = "skills"
PROJECT_FOLDERS: Final = (os.path.join(".agents", FOLDER), os.path.join(".codex", FOLDER))
SYSTEM_FOLDER: Final = ".system"
ADMIN_FOLDER: Final = os.path.join(os.sep, "etc", "codex", FOLDER)
MAX_BYTES: Final = 64 * 1024
"""Bytes of the largest file."""
MAX_NAME: Final = 64
"""Characters of the longest name."""
MAX_DEPTH: Final = 6
"""Levels of folders below a root that are looked through."""
MAX_FOLDERS: Final = 2000
"""Folders below one root that are looked through."""
MAX_SKILLS: Final = 200
"""Skills below one root."""


class Skill(msgspec.Struct, frozen=True):
    """One skill."""

    name: str
    description: str
    """On one line."""
    path: str
    """Of its file; absolute, with links as they were found."""
    scope: SkillScope
    short_description: str | None = None
    enabled: bool = True
    """False where the user has switched it off in `config.toml`."""


class SkillFault(msgspec.Struct, frozen=True):
    """A file or folder that could not be used."""

    path: str
    message: str


class FoundSkills(msgspec.Struct, frozen=True):
    """All skills that apply in a directory, those switched off too, and what is wrong with others."""

    skills: tuple[Skill, ...] = ()
    faults: tuple[SkillFault, ...] = ()

    @property
    def enabled(self) -> tuple[Skill, ...]:
        """Those that are offered to the model."""
        return tuple(skill for skill in self.skills if skill.enabled)


class DisabledSkills(msgspec.Struct, frozen=True):
    """The skills that the user has switched off."""

    names: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    """Real paths of their files."""

    def has(self, name: str, path: str) -> bool:
        """Tell whether a skill is switched off."""
        return name in self.names or (bool(self.paths) and os.path.realpath(path) in self.paths)


NONE_DISABLED: Final = DisabledSkills()


def disabled_skills(table: Table) -> DisabledSkills:
    """Read the list `skills.config` of `config.toml`. Entries that are not understood switch nothing off."""
    skills = table.get("skills")
    entries = skills.get("config") if isinstance(skills, dict) else None
    names: set[str] = set()
    paths: set[str] = set()
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("enabled") is False:
            name, path = entry.get("name"), entry.get("path")
            if isinstance(name, str):
                names.add(name)
            if isinstance(path, str) and os.path.isabs(path):
                paths.add(os.path.realpath(path))
                paths.add(os.path.realpath(os.path.join(path, FILE)))
    return DisabledSkills(frozenset(names), frozenset(paths))


def find_skills(
    reader: Reader,
    user_home: str | None,
    directories: Sequence[str],
    disabled: DisabledSkills = NONE_DISABLED,
    further: Sequence[str] = (),
) -> FoundSkills:
    """Return the skills of the reader's home, of the user and of a project.

    `user_home` is the user's home directory. `directories` lead from the project's root to the working directory. A
    folder that several roots lead to counts once, for the first of them. What is below `further` roots counts as the
    user's.
    """
    search = _Search(reader, disabled)
    others: Iterator[tuple[str, SkillScope]] = ((root, "user") for root in further)
    for root, scope in chain(_roots(reader.home, user_home, directories), others):
        search.look_through(root, scope)
    order: Sequence[SkillScope] = ("system", "repo", "user", "admin")
    skills = sorted(search.skills, key=lambda skill: (order.index(skill.scope), skill.name))
    return FoundSkills(tuple(skills), tuple(search.faults))


def read_skill(reader: Reader, path: str) -> str:
    """Return the text of a file, front matter and all. Raises `OSError`, or `ValueError` for what is no text."""
    return decode_text(reader.read(path, MAX_BYTES))


def _roots(home: str, user_home: str | None, directories: Sequence[str]) -> Iterator[tuple[str, SkillScope]]:
    for directory in directories:
        for folder in PROJECT_FOLDERS:
            yield os.path.join(directory, folder), "repo"
    yield os.path.join(home, FOLDER), "user"
    if user_home is not None:
        yield os.path.join(user_home, ".agents", FOLDER), "user"
    yield os.path.join(home, FOLDER, SYSTEM_FOLDER), "system"
    yield ADMIN_FOLDER, "admin"


class _Search:
    def __init__(self, reader: Reader, disabled: DisabledSkills) -> None:
        self._reader = reader
        self._disabled = disabled
        self._seen: set[str] = set()
        self.skills: list[Skill] = []
        self.faults: list[SkillFault] = []

    def look_through(self, root: str, scope: SkillScope) -> None:
        """Add the skills below a root. Links to folders are followed, and each folder is entered once."""
        if _is_missing(root):  # as most are; a real path takes a system call for each part
            return
        waiting = [(root, 0)]
        looked = 0
        room = len(self.skills) + MAX_SKILLS
        while waiting:
            folder, depth = waiting.pop()
            real = os.path.realpath(folder)
            if real in self._seen:
                continue
            self._seen.add(real)
            looked += 1
            if looked > MAX_FOLDERS:
                self._fault(root, f"it has more than {MAX_FOLDERS} folders; the others are left out")
                return
            names = self._names(folder)
            if FILE in names and depth:
                if len(self.skills) >= room:
                    self._fault(root, f"it has more than {MAX_SKILLS} skills; the others are left out")
                    return
                self._take(os.path.join(folder, FILE), scope)
            if depth < MAX_DEPTH:
                waiting.extend((os.path.join(folder, name), depth + 1) for name in reversed(names) if name != FILE)

    def _names(self, folder: str) -> list[str]:
        """Return the file of a skill and the folders in a folder, in order; hidden ones are not looked into."""
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in entries if entry.name == FILE or _is_folder(entry)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self._fault(folder, reason(error))
            return []
        return sorted(names)

    def _take(self, path: str, scope: SkillScope) -> None:
        """Add the skill of a file."""
        try:
            entries = read_front_matter(read_skill(self._reader, path)).entries
            name = _one_line(entries.get("name", "")) or os.path.basename(os.path.dirname(path))
            description = _one_line(entries.get("description", ""))
            if not description:
                raise FrontMatterError("it has no `description`")
            if len(name) > MAX_NAME:
                raise FrontMatterError(f"its name has more than {MAX_NAME} characters")
        except (OSError, ValueError) as error:
            self._fault(path, reason(error))
            return
        short = _one_line(entries.get("metadata.short-description", "")) or None
        enabled = not self._disabled.has(name, path)
        self.skills.append(Skill(name, description, path, scope, short, enabled))

    def _fault(self, path: str, message: str) -> None:
        if len(self.faults) < MAX_SKILLS:
            self.faults.append(SkillFault(path, message))


def _is_missing(path: str) -> bool:
    """Tell whether a path is certain to lead to nothing: one that cannot be seen may, and a search tells why."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        pass
    return False


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return not entry.name.startswith(".") and entry.is_dir()


def _one_line(text: str) -> str:
    return " ".join(text.split())

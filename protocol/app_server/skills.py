"""Skills, as clients get them."""

from typing import ClassVar

from greenroom.protocol.app_server.wire import Params, Result


class SkillErrorInfo(Result, frozen=True):
    """A skill that cannot be read."""

    path: str
    message: str


class SkillMetadata(Result, frozen=True):
    """A skill."""

    name: str
    description: str
    path: str
    scope: str
    enabled: bool
    short_description: str | None = None


class SkillsListEntry(Result, frozen=True):
    """The skills of threads in one directory."""

    cwd: str
    skills: list[SkillMetadata]
    errors: list[SkillErrorInfo]


class SkillsListResponse(Result, frozen=True):
    """Result of `skills/list`."""

    data: list[SkillsListEntry]


class SkillsConfigWriteParams(Params, frozen=True):
    """Params of `skills/config/write`. Exactly one of name and path names the skill."""

    job: ClassVar[str] = "switch-skill"

    enabled: bool
    name: str | None = None
    path: str | None = None
    """Of its file, absolute."""


class SkillsConfigWriteResponse(Result, frozen=True):
    """Result of `skills/config/write`."""

    effective_enabled: bool
    """What was asked for; another entry of the file may say otherwise."""


class SkillsExtraRootsSetParams(Params, frozen=True):
    """Params of `skills/extraRoots/set`."""

    extra_roots: list[str]
    """Folders, absolute, in which the skills of this client's threads are looked for as well."""

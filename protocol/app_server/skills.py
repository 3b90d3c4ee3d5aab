"""Skills, as clients get them."""

from greenroom.protocol.app_server.wire import Result


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

"""The environment variables that commands of the model get."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import ClassVar, Final, Literal, TypeAlias

from msgspec import field

from greenroom.config.section import Section, Strings
from greenroom.protocol.secrecy import SECRET_WORDS

Inherit: TypeAlias = Literal["all", "core", "none"]

SECRET_PATTERNS: Final = tuple(f"*{word}*" for word in SECRET_WORDS)
"""Names that are removed unless the policy says `ignore_default_excludes`."""

WITHHELD_PATTERNS: Final = ("OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_ACCESS_TOKEN", "CODEX_*_OVERRIDE")
"""Greenroom's own credentials and switches, which no policy passes on."""

_USUALLY_DROPPED: Final = (*WITHHELD_PATTERNS, *SECRET_PATTERNS)

CORE_NAMES: Final = frozenset(
    {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TEMP", "TMP", "TMPDIR", "USER", "USERNAME"}
)
"""The variables of `inherit = "core"`."""


UNATTENDED: Final = MappingProxyType(
    {
        **dict.fromkeys(("LANG", "LC_ALL", "LC_CTYPE"), "C.UTF-8"),
        **dict.fromkeys(("PAGER", "GIT_PAGER", "GH_PAGER"), "cat"),
        "CODEX_CI": "1",
        "COLORTERM": "",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
)
"""Variables that disable colour, pagers, prompts and translations."""


class ShellEnvironmentPolicy(Section, frozen=True):
    """The table `shell_environment_policy`. Patterns have `*` for any run of characters and `?` for one."""

    withheld: ClassVar[frozenset[str]] = frozenset({"set"})

    inherit: Inherit = "all"
    ignore_default_excludes: bool = False
    """Whether names that look like secrets are kept. Later releases of the reference keep them by default; here, as in
    the first, they are removed."""
    exclude: Strings = ()
    set: dict[str, str] = field(default_factory=dict)
    """Variables that are added whatever their names; only `include_only` applies to them."""
    include_only: Strings = ()
    filters: dict[str, Literal["include", "exclude"]] = field(default_factory=dict)
    """The later form of `exclude` and `include_only`: pattern → action."""

    def __post_init__(self) -> None:
        if self.filters and (self.exclude or self.include_only):
            raise ValueError("`filters` cannot be combined with `exclude` or `include_only`")

    @property
    def excluded(self) -> tuple[str, ...]:
        """Patterns of names to remove, from either form."""
        return (*self.exclude, *(pattern for pattern, deed in self.filters.items() if deed == "exclude"))

    @property
    def included(self) -> tuple[str, ...]:
        """Patterns of which a name must match one; empty if all names are accepted."""
        return (*self.include_only, *(pattern for pattern, deed in self.filters.items() if deed == "include"))


def shell_environment(policy: ShellEnvironmentPolicy, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a command."""
    always, excluded = _dropped(policy)
    variables = {
        name: value
        for name, value in _inherited(policy.inherit, environment)
        if not (matches_any(name, always) or matches_any(name, excluded))
    }
    variables.update(policy.set)
    if policy.included:
        variables = {name: value for name, value in variables.items() if matches_any(name, policy.included)}
    return variables


def may_be_seen(policy: ShellEnvironmentPolicy, name: str) -> bool:
    """Tell whether a command may have a variable of this name, whatever the source of its value."""
    always, excluded = _dropped(policy)
    if matches_any(name, always) or matches_any(name, excluded):
        return False
    return not policy.included or matches_any(name, policy.included)


def unattended(policy: ShellEnvironmentPolicy, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for a command without a terminal. The user's settings take precedence."""
    chosen = {name: variables[name] for name in policy.set if name in variables}
    return {**variables, **UNATTENDED, **chosen}


def matches_any(name: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether the whole name matches a pattern. Only ASCII letters match regardless of case."""
    return bool(patterns) and _compiled(patterns).fullmatch(name) is not None


def _dropped(policy: ShellEnvironmentPolicy) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the patterns that most policies share, whose expression is made once for all conversations, and others."""
    return WITHHELD_PATTERNS if policy.ignore_default_excludes else _USUALLY_DROPPED, policy.excluded


def _inherited(inherit: Inherit, environment: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    match inherit:
        case "all":
            return environment.items()
        case "core":
            return ((name, value) for name, value in environment.items() if name in CORE_NAMES)
        case "none":
            return ()


@lru_cache(maxsize=64)
def _compiled(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(_expression, patterns)), re.ASCII | re.DOTALL | re.IGNORECASE)


def _expression(pattern: str) -> str:
    first, *rest = (_literal(piece) for piece in pattern.split("*"))
    # Atomic groups never backtrack: linear time, however many stars a pattern has.
    inner = "".join(f"(?>.*?{piece})" for piece in rest[:-1])
    last = f".*{rest[-1]}" if rest else ""
    return first + inner + last


def _literal(piece: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in piece)

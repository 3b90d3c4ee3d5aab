"""Tells for every value of the settings which layer it comes from. Free of I/O.

The layers are those of `greenroom.config.settings.resolve_settings`: the file's top level, the chosen profile, `-c` in
order.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from greenroom.config.document import Table
from greenroom.config.error_text import dotted
from greenroom.config.overrides import Assignment
from greenroom.config.secrets.secret_settings import is_secret_value

HIDDEN: Final = "<hidden>"
"""Stands for a value that may be a secret."""
LONGEST: Final = 60
"""Characters of a value that are shown."""
_FREE: Final = ("shell_environment_policy", "set")
"""Variables for commands, any of which may be a secret of the user."""


class Origin(NamedTuple):
    """One value that is in force, and its layer."""

    key: str
    value: str
    """As text, cut off where it is long, and hidden where it may be a secret."""
    layer: str


def value_origins(file: Table, assignments: Sequence[Assignment], profile: str | None) -> list[Origin]:
    """Return all values that the layers set, by key. `profile`: the chosen one, if any.

    Values of profiles that were not chosen are left out, and so are those that a stronger layer has replaced.
    """
    values: dict[tuple[str, ...], tuple[object, str]] = {
        path: (value, "config.toml") for path, value in _leaves(file) if path[0] != "profiles"
    }
    for path, value in _leaves(_profile(file, profile)):
        _replace(values, path, (value, f"profile {profile}"))
    for assignment in assignments:
        members = list(_leaves(assignment.value)) if isinstance(assignment.value, dict) else [((), assignment.value)]
        for path, value in members:
            _replace(values, (*assignment.path, *path), (value, "-c"))
    return [Origin(dotted(path), _shown(path, value), layer) for path, (value, layer) in sorted(values.items())]


def chosen_profile(table: Table, given: str | None = None) -> str | None:
    """Return the name of the profile that is chosen, if any; `table` has the overrides applied."""
    name = table.get("profile") if given is None else given
    return name if isinstance(name, str) else None


def _profile(file: Table, name: str | None) -> Table:
    profiles = file.get("profiles")
    found = profiles.get(name) if isinstance(profiles, dict) and name is not None else None
    return found if isinstance(found, dict) else {}


def _replace(
    values: dict[tuple[str, ...], tuple[object, str]], path: tuple[str, ...], value: tuple[object, str]
) -> None:
    """Set a value, and forget those that it takes the place of: tables above it and members below it."""
    for other in [other for other in values if path[: len(other)] == other or other[: len(path)] == path]:
        del values[other]
    values[path] = value


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield every value that is no table, with its keys."""
    if isinstance(value, dict) and (value or not path):
        for key, member in value.items():
            yield from _leaves(member, (*path, str(key)))
    else:
        yield path, value


def _shown(path: tuple[str, ...], value: object) -> str:
    if path[:2] == _FREE or any(
        is_secret_value(path, member) for member in (value if isinstance(value, list) else [value])
    ):
        return HIDDEN
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"

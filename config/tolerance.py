"""Reads `config.toml` so that an error in a dispensable entry skips that entry instead of failing every call.

Errors remain errors for what a conversation must not run without: what commands may do, when the user is asked, which
server gets the history, which model, and the user's instructions. So do all errors in what was given for this run or
call.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from greenroom.config.document import Table
from greenroom.config.overrides import Assignment
from greenroom.config.schema import ConfigFile
from greenroom.config.section import check
from greenroom.protocol.errors import ConfigError

Place: TypeAlias = tuple[str, ...]

ANY: Final = "*"
"""Matches every name at its level."""

DISPENSABLE: Final[tuple[Place, ...]] = (
    ("mcp_servers", ANY),
    ("mcp_servers",),
    ("model_providers", ANY),
    ("profiles", ANY),
    ("model_reasoning_effort",),
    ("model_reasoning_summary",),
    ("model_verbosity",),
    ("model_context_window",),
    ("model_auto_compact_token_limit",),
    ("model_supports_reasoning_summaries",),
    ("show_raw_agent_reasoning",),
    ("tool_output_token_limit",),
    ("compact_prompt",),
    ("experimental_compact_prompt_file",),
    ("project_doc_max_bytes",),
    ("project_doc_fallback_filenames",),
    ("project_root_markers",),
    ("background_terminal_max_timeout",),
    ("notify",),
    ("history",),
    ("tools", "update_plan"),
)
"""What is skipped as a whole if it is wrong: the whole server, for instance, never only its list of disabled tools.
Earlier lines take precedence."""


class Tolerated(NamedTuple):
    """The result of reading the file."""

    file: ConfigFile
    table: Table
    """The raw table."""
    warnings: tuple[str, ...] = ()
    """What was skipped and why, one text per entry."""
    servers: Mapping[str, str] = {}
    """Why each skipped server was skipped."""


def read_tolerantly(table: Table, given: Iterable[Assignment] = (), profile: str | None = None) -> Tolerated:
    """Read the table, with `given` already applied. Raises `ConfigError` for entries that are not dispensable.

    `profile` is the one that the caller selects, if any.
    """
    try:
        return Tolerated(check(ConfigFile, table), table)
    except ConfigError:
        return _Reading(table, tuple(assignment.path for assignment in given), profile).read()


class _Reading:
    def __init__(self, table: Table, given: tuple[Place, ...], profile: str | None) -> None:
        self._table = table
        self._given = given
        self._profile = table.get("profile") if profile is None else profile
        self._warnings: list[str] = []
        self._servers: dict[str, str] = {}

    def read(self) -> Tolerated:
        from greenroom.config.invalid_value import find_misfit

        while True:
            try:
                file = check(ConfigFile, self._table)
            except ConfigError as error:
                misfit = find_misfit(ConfigFile.plain(self._table), ConfigFile)
                assert misfit is not None, "there is one, or there would be no error"
                self._leave_out(tuple(str(step) for step in misfit.path), str(error))
            else:
                return Tolerated(file, self._table, tuple(self._warnings), self._servers)

    def _leave_out(self, where: Place, fault: str) -> None:
        place = next((where[: len(entry)] for entry in DISPENSABLE if _is_within(where, entry)), None)
        if place is None or self._is_wanted(place) or any(_touch(where, path) for path in self._given):
            raise ConfigError(fault)
        self._table = _without(self._table, place)
        self._warnings.append(f"config.toml: `{'.'.join(place)}` is left out: {fault}")
        if place[0] == "mcp_servers":
            for name in place[1:]:
                self._servers[name] = fault

    def _is_wanted(self, place: Place) -> bool:
        """Tell whether calls need this entry."""
        match place:
            case ("mcp_servers", name):
                server = _at(self._table, place)
                return server.get("enabled") is not False and server.get("required", False) is not False
            case ("profiles", name):
                return name == self._profile
            case ("model_providers", name):
                chosen = _at(self._table, ("profiles", str(self._profile)))
                return name in {self._table.get("model_provider"), chosen.get("model_provider"), self._oss()}
        return False

    def _oss(self) -> object:
        return self._table.get("oss_provider", "oss")


def _is_within(where: Place, entry: Place) -> bool:
    return len(where) >= len(entry) and all(name in (ANY, step) for name, step in zip(entry, where, strict=False))


def _touch(place: Place, other: Place) -> bool:
    shorter = min(len(place), len(other))
    return place[:shorter] == other[:shorter]


def _at(table: Table, place: Place) -> Table:
    for step in place:
        below = table.get(step)
        table = below if isinstance(below, dict) else {}
    return table


def _without(table: Table, place: Place) -> Table:
    first, *rest = place
    if not rest:
        return {key: value for key, value in table.items() if key != first}
    below = table[first]
    assert isinstance(below, dict), "a place lies within tables"
    return {**table, first: _without(below, tuple(rest))}

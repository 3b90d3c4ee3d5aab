"""Reads `config.toml` so that a fault in an entry that calls can do without costs that entry and not every call.

What a conversation must not run without stays an error: what commands may do, who is asked, whose server gets the
history, which model, and what the user has told the agent. So does everything that was given for this run or call.
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
"""Stands for every name at its level."""

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
"""What is left out where it is wrong, as a whole: of a server, say, never only the list of tools that it must not
offer. Earlier lines count before later ones."""


class Tolerated(NamedTuple):
    """What the file comes to."""

    file: ConfigFile
    table: Table
    """What the file was made from."""
    warnings: tuple[str, ...] = ()
    """What was left out and why, one text for each entry."""
    servers: Mapping[str, str] = {}
    """Why each server was left out that was."""


def read_tolerantly(table: Table, given: Iterable[Assignment] = (), profile: str | None = None) -> Tolerated:
    """Read the table, `given` having been laid over it. Raises `ConfigError` for what calls cannot do without.

    `profile` is the one that the caller chooses, if any.
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
        """Tell whether calls need just this entry."""
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


def _touch(one: Place, other: Place) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


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

"""Starts Greenroom's own programs; the only place that does. It is imported early, so it imports little itself."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OWN_VARIABLES = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""Variables that only Greenroom's own programs get, in addition to the user's.

Looking for pydantic plugins takes longer than building all models.
"""


def spawn(
    statement: str, environment: "Mapping[str, str]", inherited: "Mapping[int, int]", *, same_session: bool = False
) -> int:
    """Start an isolated interpreter on one statement and return its pid.

    `inherited` maps descriptors of the child to those of this process. Standard input is empty, standard output goes to
    standard error, and the child leads a session of its own so that a terminal's signals do not reach it; with
    `same_session` it only leads a process group.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
        *_handed_over(inherited),
    ]
    argv, environ = [sys.executable, "-I", "-c", statement], dict(environment)
    if same_session:
        return os.posix_spawn(sys.executable, argv, environ, file_actions=actions, setpgroup=0)
    return os.posix_spawn(sys.executable, argv, environ, file_actions=actions, setsid=True)


def _handed_over(inherited: "Mapping[int, int]") -> "Iterator[tuple[int, ...]]":
    """Yield the file actions that give a child the descriptors under its numbers, through temporary numbers to avoid
    collisions."""
    spare = 1 + max((*inherited, *inherited.values()), default=2)
    for number, source in enumerate(inherited.values(), spare):
        yield os.POSIX_SPAWN_DUP2, source, number
    for number, target in enumerate(inherited, spare):
        yield os.POSIX_SPAWN_DUP2, number, target
        yield os.POSIX_SPAWN_CLOSE, number

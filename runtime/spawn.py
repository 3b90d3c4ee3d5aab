"""The one place that starts programs of our own. It is among the first things to run, so it imports next to nothing."""

import os
import sys
from collections.abc import Mapping

OWN_VARIABLES = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
"""What the environment of our programs has besides the user's, and no other program's may have.

Looking for pydantic plugins takes longer than building all our models.
"""


def spawn(statement: str, environment: Mapping[str, str], inherited: Mapping[int, int]) -> int:
    """Start an isolated interpreter on one statement and return its pid.

    `inherited` maps descriptors of the child to ours. Standard input is empty, standard output goes where standard
    error goes, and the child leads a session of its own so that a terminal's signals reach only us.
    """
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, 2, 1),
        *((os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in inherited.items()),
    ]
    argv = [sys.executable, "-I", "-c", statement]
    return os.posix_spawn(sys.executable, argv, dict(environment), file_actions=actions, setsid=True)

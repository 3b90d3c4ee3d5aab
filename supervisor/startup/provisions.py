"""What a server's process took over or started before its loop ran."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from greenroom.runtime.process.launch import Launched


class Provisions(NamedTuple):
    """Given to the server at its start."""

    environment: Mapping[str, str]
    """This process's environment, with the home's `.env` in it."""
    secrets: Mapping[str, str]
    """The part of the environment that children start without."""
    fork_server: Launched | None
    """The fork server, already importing; `None` for the spawn engine."""
    launch: Callable[[], Launched]
    """Starts another fork server."""
    spawn: Callable[[], Launched]
    """Starts a process that waits for its spec."""

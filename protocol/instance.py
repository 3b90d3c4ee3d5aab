"""Who a running instance is: the facts that lie beside its sockets, so that others of the same user can find it.

It is written while a server starts, so it is no pydantic model: those of a whole report take longer than the handshake.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Instance:
    """One run of `greenroom mcp-server`. `(pid, created)` names its supervisor and no other process, ever."""

    pid: int
    """Process id of the supervisor."""
    created: str
    """The kernel's record of when that process was created. It means nothing but equality."""
    version: str
    """Version of the program."""
    codex_home: str
    """The directory that `CODEX_HOME` named."""
    engine: Literal["fork", "spawn"]
    """How its processes come into being."""
    started_at: float
    """Seconds since the epoch."""

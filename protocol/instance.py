"""Identifies a running instance: facts stored beside its sockets, so that other processes of the user can find it.

It is written during startup, so it is not a pydantic model: the models of a report take longer to import than the
handshake.
"""

from dataclasses import dataclass

from greenroom.protocol.choices import EngineName


@dataclass(frozen=True, slots=True)
class Instance:
    """One run of `greenroom mcp-server`. `(pid, created)` identifies its supervisor even after the pid is reused."""

    pid: int
    """Process id of the supervisor."""
    created: str
    """The kernel's creation time of that process; only good for comparing."""
    version: str
    """Version of the program."""
    codex_home: str
    """The value of `CODEX_HOME`."""
    engine: EngineName
    """How its processes are started."""
    started_at: float
    """Seconds since the epoch."""

"""The defaults of the table `[greenroom]`: limits and time-outs of one instance.

These numbers are defined only here. The module imports nothing, because the supervisor loads it first.
"""

from typing import Final, NamedTuple

IDLE_WORKERS: Final = 2
"""Workers that are started in advance."""

RATE_LIMIT_WAIT: Final = 600.0
"""Seconds that a model request waits for rate limits in total."""

DELTA_WINDOW: Final = 0.05
"""Seconds for which pieces of a text are gathered where they come faster than that; each window is one piece then."""

QUIET_WINDOW: Final = 0.1
"""The same in seconds while no client gets the pieces. An answer may end that much later for it."""


class Limits(NamedTuple):
    """Set under `[greenroom]` in config.toml."""

    park_after: float = 300.0
    """Seconds of idleness after which a conversation's process saves and exits."""
    live_workers: int = 200
    """Conversations that may have a process at once; beyond that the longest idle one is parked, or a new one waits."""
    known_at_rest: int = 10_000
    """Conversations without a process that are remembered; older ones are restored from their session files alone."""
    open_calls: int = 2000
    """Tool calls that may be open at once; further ones fail as `overloaded`."""
    queued_turns: int = 32
    """Turns that may be queued in one conversation; further ones fail as `overloaded`."""
    worker_memory: int = 2048 * 1024 * 1024
    """Bytes of resident memory beyond which a worker is killed, whatever it does."""
    approval_timeout: float = 600.0
    """Seconds that the user has to answer an approval request; no answer counts as no."""
    task_after: float = 10.0
    """Seconds after which a call becomes a task, if its client supports tasks."""
    start_timeout: float = 120.0
    """Seconds that calls wait while no process can be started, before they fail as `start_failed`."""
    hang_after: float = 60.0
    """Seconds without a heartbeat after which the worker of a running turn is killed."""
    client_calls: int = 500
    """Tool calls of one client of a host that may be open at once; further ones fail as `overloaded`."""
    client_buffer: int = 64 * 1024 * 1024
    """Bytes that may wait for a client of a host; beyond them it is disconnected."""
    slow_client: float = 300.0
    """Seconds for which a client of a host may read nothing while more than 1 MiB waits; then it is disconnected."""
    max_clients: int = 256
    """Clients that a host serves at once; further ones are refused."""
    first_line_timeout: float = 10.0
    """Seconds that a client of a host has for its first line."""
    drain: float = 30.0
    """Seconds that turns have to end when a host is stopped."""
    replaced: float = 3600.0
    """Seconds for which a host that was replaced serves the turns and clients that it has left."""

"""The defaults of the table `[greenroom]`: how much one instance may hold and how long it waits.

This module is the only home of these numbers, and imports nothing, since the front process needs it first.
"""

from typing import Final, NamedTuple

IDLE_WORKERS: Final = 2
"""Workers kept waiting in advance."""

RATE_LIMIT_WAIT: Final = 600.0
"""Seconds that a model request waits for rate limits in all."""

DELTA_WINDOW: Final = 0.03
"""Seconds for which pieces of a text are gathered where they come faster than that; each window is one piece then."""

QUIET_WINDOW: Final = 0.1
"""The same in seconds while no client gets the pieces. An answer may end that much later for it."""


class Limits(NamedTuple):
    """Set under `[greenroom]` in config.toml."""

    park_after: float = 300.0
    """Seconds that a conversation may be idle before its process saves and leaves."""
    live_workers: int = 200
    """Conversations that have a process at a time; beyond it the longest idle ones are parked and newcomers wait."""
    known_at_rest: int = 10_000
    """Conversations without a process that are remembered; older ones come back from their session files alone."""
    open_calls: int = 2000
    """Tool calls that wait for their answer at a time; further ones are refused as `overloaded`."""
    queued_turns: int = 32
    """Turns that wait in one conversation; further ones are refused as `overloaded`."""
    worker_memory: int = 2048 * 1024 * 1024
    """Bytes of resident memory beyond which a worker is killed, whatever it does."""
    approval_timeout: float = 600.0
    """Seconds that the user has for an approval; no answer is a no."""
    task_after: float = 10.0
    """Seconds after which a call of a client that knows tasks goes on as one."""
    start_timeout: float = 120.0
    """Seconds that calls wait for a process while none can be started; then they fail as `start_failed`."""
    hang_after: float = 60.0
    """Seconds without a sign of life after which the worker of a running turn is killed."""

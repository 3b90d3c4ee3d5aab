"""The runs of the server, by which calls and tasks say where they are: whether one lasts, and what is left of it."""

import os
from typing import Final

from greenroom.protocol.mcp.handshake import Failure
from greenroom.runtime import identity

THIS: Final = f"{os.getpid()}:{identity.created(os.getpid())}"
"""The run that this process is. With the time of its creation it is mistaken for no other, ever."""


def lasts(run: str) -> bool:
    """Tell whether the process of a run is still there."""
    pid, _, created = run.partition(":")
    return pid.isdecimal() and identity.created(int(pid)) == created


def name(run: str) -> str:
    """Name a run for people."""
    return f"pid {run.partition(':')[0]}"


def interrupted(when: str) -> Failure:
    """Return the failure of a turn whose run is over: nobody can know how it ended."""
    text = (
        f"Turn aborted: interrupted. The server ended {when}. What the turn was doing may or may not have taken "
        "effect; codex-reply with this id goes on from where it was saved."
    )
    return Failure("turn_aborted", text, {"reason": "interrupted", "resumable": True})

"""The runs of the server, named in the state of calls and tasks: whether one lasts, and the failure it leaves."""

import os
from typing import Final

from greenroom.protocol.failure import Failure
from greenroom.runtime.process import identity

THIS: Final = f"{os.getpid()}:{identity.created(os.getpid())}"
"""The run of this process. The time of its creation distinguishes it from other processes with the same pid."""


def lasts(run: str) -> bool:
    """Tell whether the process of a run is still alive."""
    pid, _, created = run.partition(":")
    return pid.isdecimal() and identity.created(int(pid)) == created


def name(run: str) -> str:
    """Return a run's name for people."""
    return f"pid {run.partition(':')[0]}"


def interrupted(when: str) -> Failure:
    """Return the failure of a turn whose run has ended: its outcome is unknown."""
    text = (
        f"Turn aborted: interrupted. The server ended {when}. What the turn was doing may or may not have taken "
        "effect; codex-reply with this id goes on from where it was saved."
    )
    return Failure("turn_aborted", text, {"reason": "interrupted", "resumable": True})

"""How a process of ours died, in words."""

import signal

from protocol.birth import Exited


def cause(exited: Exited) -> str:
    """Say how a process ended, such as `signal 9 (SIGKILL)` or `exit status 1`."""
    if exited.returncode >= 0:
        return f"exit status {exited.returncode}"
    number = -exited.returncode
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def facts(exited: Exited) -> dict[str, object]:
    """Return the same for programs."""
    by_signal = exited.returncode < 0
    return {
        "signal": -exited.returncode if by_signal else None,
        "exitCode": None if by_signal else exited.returncode,
        "pid": exited.pid,
    }

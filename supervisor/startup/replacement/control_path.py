"""Where a host is asked to hand over."""

import os

from greenroom.supervisor.control import instances


def control_path_of(parents: tuple[str, ...], pid: int) -> str | None:
    """Return the control socket of a process; `None` where it has none, or not yet."""
    found = [one for one in instances.running(parents) if one.instance.pid == pid]
    return found[0].control if found and os.path.exists(found[0].control) else None

"""Processes and their descendants, as the kernel lists them below /proc."""

import os


def children_by_parent() -> dict[int, list[int]]:
    """Return the living children of each process."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (parent := _parent_of_living(name)) is not None:
            children.setdefault(parent, []).append(int(name))
    return children


def below(children: dict[int, list[int]], pid: int) -> list[int]:
    """Return all descendants of a process."""
    descendants = list(children.get(pid, ()))
    for child in descendants:
        descendants += children.get(child, ())
    return descendants


def start_time(pid: int) -> bytes | None:
    """Return when a living process was started, in clock ticks since boot; `None` where there is none."""
    fields = _fields(str(pid))
    return None if fields is None else fields[19]


def _parent_of_living(pid: str) -> int | None:
    fields = _fields(pid)
    return None if fields is None else int(fields[1])


def _fields(pid: str) -> list[bytes] | None:
    """Return the fields of a living process from its state on (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else fields

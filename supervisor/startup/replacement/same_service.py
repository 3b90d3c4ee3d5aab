"""Whether two processes belong to one service of the service manager."""


def is_same_service(pid: int, other: int) -> bool:
    """Tell whether two processes are in one control group; also where that cannot be told (cgroups(7))."""
    one, another = _group_of(pid), _group_of(other)
    return one == another or not (one and another)


def _group_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""

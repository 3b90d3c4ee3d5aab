"""Tells whether the kernel has killed processes for lack of memory, since such a death is a plain SIGKILL."""

import os
from typing import Final

_CGROUP: Final = "/proc/self/cgroup"
_CGROUPS: Final = "/sys/fs/cgroup"
_SYSTEM: Final = "/proc/vmstat"


class OomKills:
    """Reads the counter of the control group (cgroup v2), else that of the system. Without either it reports none."""

    def __init__(self, counter: str | None = None) -> None:
        """`counter` is a file with lines of a name and a number, one of them `oom_kill`."""
        self._counter = _counter_of_our_group() if counter is None else counter
        self._seen = self._count()

    def happened(self) -> bool:
        """Tell whether there was a kill since the last call."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        try:
            with open(self._counter, "rb") as lines:
                return next((int(line.split()[1]) for line in lines if line.startswith(b"oom_kill ")), 0)
        except (OSError, ValueError, IndexError):
            return 0


def _counter_of_our_group() -> str:
    try:
        with open(_CGROUP, encoding="utf-8") as groups:
            group = next((line[3:].strip() for line in groups if line.startswith("0::")), "")
    except (OSError, UnicodeDecodeError):
        group = ""
    counter = f"{_CGROUPS}{group.rstrip('/')}/memory.events"
    return counter if group and os.path.exists(counter) else _SYSTEM

"""A process as the kernel shows it to its user, in the output of `greenroom status --json`."""

from greenroom.protocol.report import Part


class SeenProcess(Part):
    """A process as the kernel shows it to its user."""

    pid: int
    parent: int
    name: str
    state: str
    """As named by psutil: `running`, `sleeping`, `disk-sleep`, `stopped`, `zombie` and so on."""
    created_at: float
    rss: int
    """Resident memory; pages that several processes share count in each."""
    uss: int | None
    """Memory that no other process shares; `None` where it may not be read."""
    pss: int | None
    """Memory, with shared pages divided among the processes that share them; `None` where it may not be read."""
    cpu_seconds: float
    """Processor time so far."""
    cpu_percent: float | None
    """Share of one processor since the last look; `None` on the first."""
    below_cpu_percent: float | None = None
    """The same of all processes below it together, the ended ones included that were waited for."""
    threads: int
    descriptors: int | None
    """`None` where they may not be read."""
    command: tuple[str, ...] = ()
    """Its command line; empty where it was not read."""

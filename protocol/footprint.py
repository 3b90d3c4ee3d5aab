"""What a process says of itself, because Greenroom's processes are undumpable and no other can read it.

One struct from the process to the reader of `greenroom status`: messages carry it, and the report has it as it is.
"""

from greenroom.protocol.message import Message


class Footprint(Message):
    """The resources of a process. `None` means that the platform does not provide the figure."""

    uss: int | None = None
    """Bytes of memory that no other process shares."""
    pss: int | None = None
    """Bytes of memory, with shared pages divided among their users."""
    descriptors: int | None = None
    """Open descriptors."""
    unsent: int | None = None
    """Bytes of events that the supervisor has not taken yet; only of workers."""
    sandbox_limits: tuple[str, ...] = ()
    """What the sandbox of a worker's commands does not hold on this system, or holds at a price; known once one ran."""

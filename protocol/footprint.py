"""Figures that a process can only measure of itself, because Greenroom's processes are undumpable."""

from greenroom.protocol.message import Message


class Footprint(Message):
    """The resources of a process. `None` means that the platform does not provide the figure."""

    uss: int | None = None
    """Bytes of memory that no other process shares."""
    pss: int | None = None
    """Bytes of memory, with shared pages divided among their users."""
    descriptors: int | None = None
    """Open descriptors."""

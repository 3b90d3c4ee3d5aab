"""What only a process itself can read of itself, because none of ours lets others look into it."""

from greenroom.protocol.internal.message import Message


class Footprint(Message):
    """What a process holds. `None` is what its platform does not tell."""

    uss: int | None = None
    """Bytes of memory that no other process shares."""
    pss: int | None = None
    """Bytes of memory, what is shared divided among those who share it."""
    descriptors: int | None = None
    """Open descriptors."""

"""What only a process itself can read of itself, because none of ours lets others look into it."""

from pydantic import BaseModel, ConfigDict


class Footprint(BaseModel):
    """What a process holds. `None` is what its platform does not tell."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    uss: int | None = None
    """Bytes of memory that no other process shares."""
    pss: int | None = None
    """Bytes of memory, what is shared divided among those who share it."""
    descriptors: int | None = None
    """Open descriptors."""

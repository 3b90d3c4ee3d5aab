"""The outcome of a turn."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from greenroom.protocol.errors import ErrorKind

OutcomeKind: TypeAlias = Literal["completed", "failed", "aborted"]


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """How a turn ended."""

    kind: OutcomeKind
    last_message: bytes = b'""'
    """The agent's last message as a JSON string."""
    error_kind: ErrorKind | None = None
    message: str | None = None
    """The text of the failure, or the reason of the abort."""
    facts: Mapping[str, int] = field(default_factory=dict)
    """Numbers that belong to the failure."""

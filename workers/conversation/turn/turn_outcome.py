"""The outcome of a turn."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from greenroom.protocol.errors import ErrorKind

OutcomeKind: TypeAlias = Literal["completed", "failed", "aborted"]


class TurnOutcome(msgspec.Struct, frozen=True):
    """How a turn ended."""

    kind: OutcomeKind
    last_message: bytes = b'""'
    """The agent's last message as a JSON string."""
    error_kind: ErrorKind | None = None
    message: str | None = None
    """The text of the failure, or the reason of the abort."""
    facts: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Numbers that belong to the failure."""

"""The identifiers that travel between processes, each a type of its own."""

import os
import time
from typing import NewType
from uuid import UUID

ConversationId = NewType("ConversationId", str)
"""A UUID in canonical form. Clients know it as `threadId`, `conversationId` or `sessionId`."""

TurnId = NewType("TurnId", str)
"""`params.id` of `codex/event`; empty before the first turn."""

CallId = NewType("CallId", str)
"""The model's id of one tool call."""

WorkerId = NewType("WorkerId", str)
"""Identifies one process for its whole life, with or without a conversation."""

Incarnation = NewType("Incarnation", int)
"""Counts the processes that have hosted one conversation, from 1."""

NodeName = NewType("NodeName", str)
"""The name under which another machine has joined a host."""

HERE = NodeName("")
"""The host itself, where a node would be named."""

BEFORE_TURNS = TurnId("")


def uuid7() -> str:
    """Return a fresh, time-ordered UUID (RFC 9562, section 5.7) in canonical form."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))

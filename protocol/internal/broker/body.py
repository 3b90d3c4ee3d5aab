"""The form of all messages of the auth broker, and the values that several of them have."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from msgspec import Meta

from greenroom.protocol.message import Message

AuthMode: TypeAlias = Literal["apikey", "chatgpt", "none"]

AuthState: TypeAlias = Literal[
    "SIGNED_OUT", "API_KEY", "FRESH", "STALE", "BLOCKED", "DEGRADED", "WAITING", "REAUTH_REQUIRED", "STORE_BAD"
]

AuthErrorCode: TypeAlias = Literal[
    "signed_out",
    "reauth_required",
    "transient",
    "store_malformed",
    "store_unwritable",
    "identity_mismatch",
    "not_refreshable",
    "not_supported",
    "command_failed",
    "not_found",
    "login_failed",
    "login_disabled",
    "storage_failed",
    "forbidden",
    "deadline_exceeded",
    "protocol",
]

UnauthorizedOutcome: TypeAlias = Literal[
    "newer",
    "reloaded",
    "refreshed",
    "identity_changed",
    "not_refreshable",
    "signed_out",
    "transient",
    "permanent",
    "exhausted",
]

Deadline: TypeAlias = Annotated[int, Meta(gt=0, le=60_000)]
"""Milliseconds that the asker is willing to wait."""

LimitKey: TypeAlias = Annotated[str, Meta(max_length=64)]
"""What a rate limit belongs to: a fingerprint of provider and account, nothing that is secret."""


class Body(Message):
    """Base of all message bodies."""

    wire: ClassVar[bytes]

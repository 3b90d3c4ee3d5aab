"""Proof that a code is exchanged by the client that requested it: PKCE with SHA-256 (RFC 7636)."""

import base64
import hashlib
from typing import Self

import msgspec

from greenroom.protocol.secrecy import Secret


class Verifier(msgspec.Struct, frozen=True):
    """The secret half of PKCE (RFC 7636)."""

    secret: Secret

    @classmethod
    def of(cls, randomness: bytes) -> Self:
        """Make one of 64 random bytes."""
        return cls(Secret(base64url(randomness)))

    @property
    def challenge(self) -> str:
        """What the issuer gets first."""
        return base64url(hashlib.sha256(self.secret.reveal().encode()).digest())


def base64url(data: bytes) -> str:
    """Encode without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

"""A refresh token that is to be exchanged, and the outcome for its successor."""

from typing import Literal, TypeAlias

import msgspec

from greenroom.broker.credential.record import AuthRecord
from greenroom.protocol.secrecy import Secret

Fate: TypeAlias = Literal["nothing", "stored", "superseded", "unwritable"]
"""The outcome for the new tokens: there are none; they are in the store; the store has changed meanwhile; the store
cannot be written.
"""


class RefreshRequest(msgspec.Struct, frozen=True):
    """The token to exchange."""

    record: AuthRecord
    """Contains the refresh token, and gets its successor."""
    stored: Secret
    """The refresh token in the store: another one where the result of an earlier exchange could not be written."""

    @property
    def token(self) -> Secret:
        """The refresh token to exchange."""
        return Secret("" if self.record.tokens is None else self.record.tokens.refresh_token)

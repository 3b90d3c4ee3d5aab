"""The credential of a model request, and the interface from which the client gets it."""

from typing import ClassVar, Protocol

from greenroom.protocol.guarded_struct import GuardedStruct
from greenroom.protocol.internal.broker.body import AuthMode


class Bearer(GuardedStruct, frozen=True):
    """The credential of one attempt."""

    withheld: ClassVar[frozenset[str]] = frozenset({"token", "account_id"})

    token: str | None
    """`None`: the request is sent without authorization."""
    account_id: str | None = None
    """The ChatGPT account that pays."""
    mode: AuthMode = "apikey"
    renewable: bool = False
    """Whether another one may be available after a 401."""
    base_url_mode: AuthMode | None = None
    """The login that selects among the default URLs; `None` if `mode` does."""

    @property
    def is_chatgpt(self) -> bool:
        """Whether a ChatGPT login is in use."""
        return self.mode == "chatgpt"


class CredentialsDelayedError(Exception):
    """No credential is available now, but perhaps later. The text is for people."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds, `None` if unknown."""
        super().__init__(text)
        self.retry_after = retry_after


class Credentials(Protocol):
    """A source of credentials."""

    async def bearer(self) -> Bearer:
        """Return the credential of the next attempt; called again for every attempt.

        Raises `UnauthorizedError` if there is none and waiting does not help, else `CredentialsDelayedError`.
        """
        ...

    def answered(self, bearer: Bearer, date: str | None) -> None:
        """Called when the server has answered a request with `bearer`, with the time of its header `Date`."""
        ...

    async def rejected(self, bearer: Bearer, status: int) -> bool:
        """Called when the server has rejected `bearer`; returns whether another one may be tried at once.

        Called only for one that is `renewable`. Raises `CredentialsDelayedError` if that could not be determined, and
        `UnauthorizedError` if it is known why there is no other.
        """
        ...

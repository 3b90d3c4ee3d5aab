"""What a model request is authorised with, and whom the client asks for it."""

from dataclasses import dataclass, field
from typing import Protocol

from greenroom.protocol.internal.broker import AuthMode


@dataclass(frozen=True, slots=True)
class Bearer:
    """The credential of one attempt."""

    token: str | None = field(repr=False)
    """`None`: the request is sent without authorization."""
    account_id: str | None = field(default=None, repr=False)
    """The ChatGPT account that pays."""
    mode: AuthMode = "apikey"
    renewable: bool = False
    """Whoever gave it may give another one after a 401."""
    base_url_mode: AuthMode | None = None
    """The login that decides which of the default URLs is used; `None` where `mode` does."""

    @property
    def is_chatgpt(self) -> bool:
        """A ChatGPT login is in force."""
        return self.mode == "chatgpt"


class CredentialsDelayedError(Exception):
    """No bearer can be had just now, but perhaps a little later. The text is for people."""

    def __init__(self, text: str, retry_after: float | None = None) -> None:
        """`retry_after` is in seconds, `None` where nobody knows."""
        super().__init__(text)
        self.retry_after = retry_after


class Credentials(Protocol):
    """Where bearers come from."""

    async def bearer(self) -> Bearer:
        """Return the bearer of the next attempt; called anew for every one.

        Raises `UnauthorizedError` where there is none and waiting does not help, else `CredentialsDelayedError`.
        """
        ...

    def answered(self, bearer: Bearer, date: str | None) -> None:
        """Hear that the server has answered a request with `bearer`, at the time of its header `Date`."""
        ...

    async def rejected(self, bearer: Bearer, status: int) -> bool:
        """Hear that the server refused `bearer`, and return whether another one may be tried at once.

        Called only for one that is `renewable`. Raises `CredentialsDelayedError` where that could not be found out, and
        `UnauthorizedError` where it is known why there is no other.
        """
        ...

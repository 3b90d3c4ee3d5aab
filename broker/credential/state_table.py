"""The states of a credential, and the consequences of each, as tables.

A state is never stored. It follows from three facts: the kind of credential, its freshness, and its last refresh.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from greenroom.broker.credential.credential import Credential
from greenroom.protocol.internal.broker.body import AuthState


class Holding(Enum):
    """The kind of credential."""

    NOTHING = "nothing that a request could carry"
    BAD_STORE = "a store that cannot be read"
    KEY = "an API key"
    TOKENS = "the tokens of a ChatGPT login"


class Freshness(Enum):
    """The remaining lifetime of the access token."""

    FRESH = "longer than a refresh is early"
    STALE = "long enough to be used, too short to be left alone"
    UNUSABLE = "not long enough for a request, or refused by the model's server"


class CredentialFault(Enum):
    """The outcome of the last refresh of this credential."""

    NONE = "well, or there was none"
    TRANSIENT = "it may work another time"
    PERMANENT = "it will never work again"


class Serving(Enum):
    """The answer to a request for a bearer."""

    AT_ONCE = "the token"
    DEGRADED = "the token, marked as the last of its kind"
    AFTER_REFRESH = "what the refresh brings that runs or is started"
    REFUSAL = "an error"


_TOKEN_STATES: Final[Mapping[CredentialFault, Mapping[Freshness, AuthState]]] = {
    CredentialFault.NONE: {Freshness.FRESH: "FRESH", Freshness.STALE: "STALE", Freshness.UNUSABLE: "BLOCKED"},
    CredentialFault.TRANSIENT: {
        Freshness.FRESH: "DEGRADED",
        Freshness.STALE: "DEGRADED",
        Freshness.UNUSABLE: "WAITING",
    },
    CredentialFault.PERMANENT: dict.fromkeys(Freshness, "REAUTH_REQUIRED"),
}

_OTHER_STATES: Final[Mapping[Holding, AuthState]] = {
    Holding.NOTHING: "SIGNED_OUT",
    Holding.BAD_STORE: "STORE_BAD",
    Holding.KEY: "API_KEY",
}

SERVING: Final[Mapping[AuthState, Serving]] = {
    "SIGNED_OUT": Serving.REFUSAL,
    "API_KEY": Serving.AT_ONCE,
    "FRESH": Serving.AT_ONCE,
    "STALE": Serving.AT_ONCE,
    "BLOCKED": Serving.AFTER_REFRESH,
    "DEGRADED": Serving.DEGRADED,
    "WAITING": Serving.AFTER_REFRESH,
    "REAUTH_REQUIRED": Serving.REFUSAL,
    "STORE_BAD": Serving.REFUSAL,
}

WANTS_REFRESH: Final[frozenset[AuthState]] = frozenset({"STALE", "BLOCKED", "DEGRADED", "WAITING"})
"""States that a refresh can end, now or after the wait that followed the last failure."""

MARGIN: Final = 30.0
"""Seconds that a token must be valid to be used."""
EARLY: Final = 300.0
"""Seconds before its end that a token is refreshed in the background."""
SHORT_LIFE: Final = 1200.0
"""Tokens made for less than these seconds are refreshed when a quarter of their life is left."""
OLD_AGE: Final = 8 * 86_400.0
"""Seconds after the last refresh when a token without an expiry is refreshed."""
REPEATED: Final = 60.0
"""Seconds in which the refusal of a token that followed another refusal shows that refreshing does not help."""

NOT_LOGGED_IN: Final = "Not logged in: run `greenroom login`, or set OPENAI_API_KEY for the server"


def state_of(held: Holding, fresh: Freshness, trouble: CredentialFault) -> AuthState:
    """Return the state that follows from three facts."""
    return _TOKEN_STATES[trouble][fresh] if held is Holding.TOKENS else _OTHER_STATES[held]


def holding(credential: Credential) -> Holding:
    """Return the kind of a credential."""
    if not credential.bearer:
        return Holding.NOTHING
    return Holding.KEY if credential.mode == "apikey" else Holding.TOKENS


def freshness(credential: Credential, now: float) -> Freshness:
    """Return the freshness of a credential at `now` (wall clock)."""
    if credential.expires_at is None:
        age = None if credential.refreshed_at is None else now - credential.refreshed_at
        aged = credential.refresh_token and age is not None and age > OLD_AGE
        return Freshness.STALE if aged else Freshness.FRESH
    left = credential.expires_at - now
    if left <= MARGIN:
        return Freshness.UNUSABLE
    return Freshness.STALE if left <= _early(credential) else Freshness.FRESH


def _early(credential: Credential) -> float:
    lifetime = credential.lifetime
    return EARLY if lifetime is None or lifetime >= SHORT_LIFE else min(EARLY, max(lifetime, 0.0) / 4)

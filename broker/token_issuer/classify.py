"""The meaning of the token endpoint's answers for a refresh token: a table of classes (docs/security.md, K23 and K25).

Free of I/O and clocks. A failed refresh means one of three things: the token is permanently invalid, it may work
another time, or it is unknown whether the token was spent.
"""

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.secrecy import Secret


def token_fingerprint(token: Secret) -> str:
    """Return a digest by which a refresh token is remembered: it cannot be turned back into the token."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()[:32]


class RefreshFailure(msgspec.Struct, frozen=True):
    """Why a refresh token is permanently invalid."""

    reason: str
    user_text: str
    token_fingerprint: str
    """Of the refresh token that was refused."""


class RefreshAnswered(msgspec.Struct, frozen=True, tag=True):
    """The issuer returned new tokens. Members that it left out stay unchanged."""

    access_token: Secret | None
    refresh_token: Secret | None = None
    id_token: Secret | None = None


class RefreshRefused(msgspec.Struct, frozen=True, tag=True):
    """The issuer answered with an error."""

    status: int
    code: str | None = None
    """Lower-case `error.code`, `error` or `code` of the body."""
    message: str | None = None
    """The error text of the body, cut to a length that can be logged."""
    retry_after: float | None = None
    """Seconds."""
    request_id: str | None = None


class Unreached(msgspec.Struct, frozen=True, tag=True):
    """The request was never sent."""

    cause: str


class Unanswered(msgspec.Struct, frozen=True, tag=True):
    """The request was sent, and no readable answer came back."""

    cause: str


RefreshAnswer: TypeAlias = RefreshAnswered | RefreshRefused | Unreached | Unanswered


class AnswerClass(Enum):
    """The treatment of an error."""

    PERMANENT = "the refresh token is dead"
    TRANSIENT = "try again later"
    STRIKE = "transient, until the same answer has come three times"
    AMBIGUOUS = "the token may be spent; one more try decides"


RefusalReason: TypeAlias = str

REASONS: Final[Mapping[str, RefusalReason]] = {
    "refresh_token_expired": "expired",
    "refresh_token_reused": "exhausted",
    "refresh_token_invalidated": "revoked",
    "invalid_refresh_token": "other",
    "app_session_terminated": "other",
    "app_session_expired": "other",
    "token_expired": "other",
    "invalid_grant": "other",
    "invalid_client": "other",
    "unauthorized_client": "other",
    "access_denied": "other",
}
"""Codes that are permanent with any 4xx, and their reasons."""

TEXTS: Final[Mapping[RefusalReason, str]] = {
    "expired": (
        "Your access token could not be refreshed because your refresh token has expired."
        " Please log out and sign in again."
    ),
    "exhausted": (
        "Your access token could not be refreshed because your refresh token was already used."
        " Please log out and sign in again."
    ),
    "revoked": (
        "Your access token could not be refreshed because your refresh token was revoked."
        " Please log out and sign in again."
    ),
    "other": "Your access token could not be refreshed. Please log out and sign in again.",
    "account_changed": (
        "Your access token could not be refreshed because you have since logged out or signed in to another account."
        " Please sign in again."
    ),
}

STRIKES: Final = 3
"""Identical answers of the class `STRIKE` that count as permanent."""

_TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})


def classify_answer(answer: RefreshRefused | Unreached | Unanswered) -> AnswerClass:
    """Return the class of an error."""
    if isinstance(answer, Unreached):
        return AnswerClass.TRANSIENT
    if isinstance(answer, Unanswered):
        return AnswerClass.AMBIGUOUS
    if not 400 <= answer.status < 500 or answer.status in _TRANSIENT_STATUSES:
        return AnswerClass.TRANSIENT
    if answer.code in REASONS or answer.status == 401:
        return AnswerClass.PERMANENT
    return AnswerClass.STRIKE


def failure(answer: RefreshRefused, token_fingerprint: str) -> RefreshFailure:
    """Return the record of a refresh token that is permanently invalid."""
    reason = REASONS.get(answer.code or "", "other")
    return RefreshFailure(reason, TEXTS[reason], token_fingerprint)


class ResponseClassifier:
    """Counts strikes, so that an answer that never changes counts as permanent at last."""

    def __init__(self) -> None:
        self._last: tuple[str, int, str | None] | None = None
        self._count = 0

    def verdict(self, answer: RefreshRefused | Unreached | Unanswered, token_fingerprint: str) -> AnswerClass:
        """Return the class of an error for one refresh token, never `STRIKE`."""
        found = classify_answer(answer)
        if found is not AnswerClass.STRIKE or not isinstance(answer, RefreshRefused):
            return found
        key = (token_fingerprint, answer.status, answer.code)
        self._count = self._count + 1 if key == self._last else 1
        self._last = key
        return AnswerClass.PERMANENT if self._count >= STRIKES else AnswerClass.TRANSIENT

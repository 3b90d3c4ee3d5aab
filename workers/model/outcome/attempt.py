"""How an attempt at a model request can end, and what follows: permitted retries, and the resulting error.

Free of I/O and clocks. Outcomes that are permanent according to the tables below are not retried: an invalid request, a
rejected credential, an exhausted account. A server that cannot be reached is retried as often as any other, not for
ever.
"""

import re
from collections.abc import Mapping
from datetime import tzinfo
from enum import Enum
from http import HTTPStatus
from typing import Final, TypeAlias

import msgspec

from greenroom.protocol.errors import GreenroomError, ModelError, PromptTooLongError, UnauthorizedError, UsageLimitError
from greenroom.workers.model.outcome.delay import delay_in_words, limit_reset, retry_after
from greenroom.workers.model.outcome.error_body import Complaint, read_complaint, redacted
from greenroom.workers.model.outcome.finish import UNKNOWN_REASON, UNREADABLE
from greenroom.workers.model.outcome.usage_limit import usage_limit_text

IDLE_TEXT: Final = "idle timeout waiting for SSE"

RequestErrorInfo: TypeAlias = str | dict[str, dict[str, int | None]]
"""`codex_error_info` of the events `error` and `task_complete`."""


class ModelRequestError(ModelError):
    """A request to the model failed permanently."""

    def __init__(self, text: str, info: RequestErrorInfo = "other") -> None:
        super().__init__(text)
        self.info = info


class MalformedRequestError(ModelRequestError):
    """The server reports that the request itself is invalid."""


class SealedHistoryError(ModelRequestError):
    """The server cannot decrypt the reasoning in the history, because it was created for another account."""


def error_info(error: GreenroomError) -> RequestErrorInfo:
    """Return the value of `codex_error_info` for clients."""
    match error:
        case ModelRequestError():
            return error.info
        case PromptTooLongError():
            return "context_window_exceeded"
        case UsageLimitError():
            return "usage_limit_exceeded"
        case UnauthorizedError():
            return "unauthorized"
        case _:
            return "other"


class HttpRefused(msgspec.Struct, frozen=True):
    """The server answered with a status other than 2xx."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: bytes = b""
    """Possibly only its beginning."""
    url: str = ""
    """Without user, password, query and fragment."""
    reason: str = ""


class Unreachable(msgspec.Struct, frozen=True):
    """There was no answer: no connection, or it broke before the first byte."""

    cause: str
    permanent: bool = False
    """Another attempt would end the same way, for instance because the certificate is invalid."""


class StreamBroken(msgspec.Struct, frozen=True):
    """The answer began but did not complete."""

    message: str
    code: str | None = None
    """The server's name of the cause, from `response.failed`."""


class CredentialDelayed(msgspec.Struct, frozen=True):
    """No credential was available."""

    message: str
    retry_after: float | None = None
    """Seconds."""
    after_rejection: bool = False
    """The server rejected the last credential; one more wait is allowed then."""


AttemptResult: TypeAlias = HttpRefused | Unreachable | StreamBroken | CredentialDelayed


class Level(Enum):
    """A counter of retries."""

    REQUEST = "request"
    STREAM = "stream"


NEVER: Final = ()
REQUEST: Final = (Level.REQUEST,)
STREAM: Final = (Level.STREAM,)
BOTH: Final = (Level.REQUEST, Level.STREAM)
Levels: TypeAlias = tuple[Level, ...]
"""The counters that an outcome may use; the first with something left is used."""


class Verdict(msgspec.Struct, frozen=True):
    """The meaning of an outcome, before anything is counted."""

    levels: Levels
    error: ModelError
    """The error of the request if it is not repeated."""
    told_delay: float | None = None
    """Seconds that the server asks to wait."""
    is_paced: bool = False
    """A rate limit shared by all conversations: it is waited out and not counted as a retry."""


_HIGH_DEMAND: Final = "We're currently experiencing high demand, which may cause temporary errors."
_AT_CAPACITY: Final = "Selected model is at capacity. Please try a different model."
_NOT_INCLUDED: Final = "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."
_QUOTA: Final = "Quota exceeded. Check your plan and billing details."
_NO_ROOM: Final = (
    "Codex ran out of room in the model's context window. Start a new thread or clear earlier history before retrying."
)
_CUT_OFF: Final = (
    "The server cut the model's answer off at a limit of tokens. Either the model's context is full: then start a new "
    "thread. Or the server has a limit for each answer: then raise it there, or ask for less at a time."
)


class _Rule(msgspec.Struct, frozen=True):
    """A cause that servers have a name for."""

    levels: Levels
    info: RequestErrorInfo
    text: str
    """`{message}` stands for the server's text."""
    error: type[UsageLimitError] | None = None
    is_paced: bool = False

    def verdict(self, message: str, delay: float | None = None) -> Verdict:
        text = self.text.replace("{message}", message or "no reason was given")
        error = self.error(text) if self.error else ModelRequestError(text, self.info)
        return Verdict(self.levels, error, delay, self.is_paced)


_CAUSES: Final[Mapping[str, _Rule]] = {
    "context_length_exceeded": _Rule(NEVER, "context_window_exceeded", _NO_ROOM),
    "insufficient_quota": _Rule(NEVER, "usage_limit_exceeded", _QUOTA, UsageLimitError),
    "usage_not_included": _Rule(NEVER, "usage_limit_exceeded", _NOT_INCLUDED, UsageLimitError),
    "invalid_prompt": _Rule(NEVER, "other", "{message}"),
    "cyber_policy": _Rule(NEVER, "cyber_policy", "{message}"),
    "content_filter": _Rule(NEVER, "other", "{message}"),
    "exceed_context_size_error": _Rule(NEVER, "context_window_exceeded", _NO_ROOM),
}
"""Codes that mean the same in `response.failed` and in the body of a 4xx."""

_RATE_LIMITED: Final = _Rule(STREAM, "rate_limit_exceeded", "rate limit exceeded: {message}", is_paced=True)
_STREAM_CAUSES: Final[Mapping[str, _Rule]] = {
    **_CAUSES,
    "length": _Rule(NEVER, "context_window_exceeded", _CUT_OFF),
    "server_is_overloaded": _Rule(NEVER, "server_overloaded", _AT_CAPACITY),
    "slow_down": _Rule(NEVER, "server_overloaded", _AT_CAPACITY),
    "rate_limit_exceeded": _RATE_LIMITED,
    "rate_limit_error": _RATE_LIMITED,
    "too_many_requests": _RATE_LIMITED,
    "RESOURCE_EXHAUSTED": _RATE_LIMITED,
    "429": _RATE_LIMITED,
    # Causes that the same request would meet again, at its full price.
    UNKNOWN_REASON: _Rule(NEVER, "other", "{message}"),
    UNREADABLE: _Rule(NEVER, "other", "the model's answer cannot be read: {message}"),
}
_OTHER_STREAM_CAUSE: Final = _Rule(STREAM, "other", "stream disconnected before completion: {message}")

_BUSY_CAUSES: Final[Mapping[str, _Rule]] = {
    "server_is_overloaded": _Rule(REQUEST, "server_overloaded", _AT_CAPACITY),
    "slow_down": _Rule(REQUEST, "server_overloaded", _AT_CAPACITY),
}
"""Codes in the body of a 503."""

_SEALED_CODE: Final = "invalid_encrypted_content"
_SEALED_WORDS: Final = re.compile(r"encrypted content .*could not be verified", re.IGNORECASE | re.DOTALL)
"""How a 400 reports undecryptable reasoning; not every server sends the code."""

OVERLOADED: Final = 529
"""A status with which some servers report overload."""

_STATUSES: Final[Mapping[int, Levels]] = {408: BOTH, 425: BOTH}
"""Statuses other than 5xx and 429 after which the same request may succeed."""


def judge(outcome: AttemptResult, now: float, zone: tzinfo | None = None) -> Verdict:
    """Return the meaning of an outcome. `now` is in seconds since the epoch."""
    match outcome:
        case HttpRefused():
            return _judge_refusal(outcome, now, zone)
        case Unreachable():
            error = ModelRequestError(
                redacted(f"Connection failed: {outcome.cause}"), {"http_connection_failed": {"http_status_code": None}}
            )
            return Verdict(NEVER if outcome.permanent else BOTH, error)
        case StreamBroken():
            message = redacted(outcome.message)
            rule = _STREAM_CAUSES.get(outcome.code or "", _OTHER_STREAM_CAUSE)
            return rule.verdict(message, delay_in_words(message) if rule is _RATE_LIMITED else None)
        case CredentialDelayed():
            error = ModelRequestError(redacted(outcome.message))
            return Verdict(STREAM, error, outcome.retry_after)


def _judge_refusal(refused: HttpRefused, now: float, zone: tzinfo | None) -> Verdict:
    complaint = read_complaint(refused.body)
    if refused.status == 429 and complaint.type == "usage_limit_reached":
        return Verdict(NEVER, UsageLimitError(usage_limit_text(complaint, now, zone)))
    causes = _BUSY_CAUSES if refused.status == 503 else _CAUSES if refused.status < 500 else {}
    delay = retry_after(refused.headers, now)
    if (rule := causes.get(complaint.code) or causes.get(complaint.type)) is not None:
        return rule.verdict(complaint.message, delay)
    if refused.status == 429:
        delay = complaint.delay if delay is None else delay
        delay = limit_reset(refused.headers, now) if delay is None else delay
        return Verdict(STREAM, _too_many(refused, complaint), delay, is_paced=True)
    if refused.status == 401:
        return Verdict(NEVER, UnauthorizedError(_unexpected(refused, complaint)))
    if refused.status == 400 and (complaint.code == _SEALED_CODE or _SEALED_WORDS.search(complaint.message)):
        return Verdict(NEVER, SealedHistoryError(_unexpected(refused, complaint)))
    if refused.status in (400, 422):
        return Verdict(NEVER, MalformedRequestError(_unexpected(refused, complaint)))
    if refused.status == 500:
        return Verdict(BOTH, ModelRequestError(_HIGH_DEMAND, "internal_server_error"), delay)
    levels = BOTH if refused.status > 500 else _STATUSES.get(refused.status, NEVER)
    is_paced = refused.status == OVERLOADED or (refused.status == 503 and delay is not None)
    return Verdict(levels, ModelRequestError(_unexpected(refused, complaint)), delay, is_paced)


def _too_many(refused: HttpRefused, complaint: Complaint) -> ModelError:
    text = f"exceeded retry limit, last status: {_status_text(refused)}"
    info: RequestErrorInfo = {"response_too_many_failed_attempts": {"http_status_code": refused.status}}
    return ModelRequestError(f"{text}: {complaint.message}" if complaint.message else text, info)


def _unexpected(refused: HttpRefused, complaint: Complaint) -> str:
    parts = [f"unexpected status {_status_text(refused)}"]
    if complaint.message:
        parts.append(f": {complaint.message}")
    if refused.url:
        parts.append(f", url: {redacted(refused.url)}")
    return "".join(parts)


def _status_text(refused: HttpRefused) -> str:
    try:
        return f"{refused.status} {HTTPStatus(refused.status).phrase}"
    except ValueError:
        return f"{refused.status} {refused.reason}".rstrip()

"""What a server says about a request that it refused, read from bodies, headers and words; free of I/O.

Texts that leave this module have been cleared of what looks like a credential, and are no longer than `DETAIL`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

DETAIL: Final = 500
"""Characters of a response's body that an error text may hold."""

SHORTEST_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Complaint:
    """What the body of an error response says; empty where it does not."""

    message: str = ""
    code: str = ""
    type: str = ""
    plan: str = ""
    resets_at: float | None = None
    """When a usage limit ends, in seconds since the epoch."""


class _Body(msgspec.Struct):
    error: object = None
    message: object = None
    detail: object = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def read_complaint(body: bytes) -> Complaint:
    """Return what a body says: in the members that servers use, else as a text."""
    try:
        parsed = _decode_body(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        parsed = _Body()
    error = parsed.error if isinstance(parsed.error, dict) else {}
    texts = (error.get("message"), parsed.error, parsed.message, parsed.detail)
    message = next((text for text in texts if isinstance(text, str) and text), None)
    resets_at = error.get("resets_at")
    return Complaint(
        message=redacted(body.decode("utf-8", "replace").strip() if message is None else message)[:DETAIL],
        code=str(error.get("code") or ""),
        type=str(error.get("type") or ""),
        plan=str(error.get("plan_type") or ""),
        resets_at=resets_at if isinstance(resets_at, int | float) and 0 <= resets_at < 1e11 else None,
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that the headers ask to wait (RFC 9110, section 10.2.3), `None` if they do not."""
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    milliseconds = _number(lowered.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = lowered.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text, re.ASCII):
        return None
    return float(text)


_IN_WORDS: Final = re.compile(r"try again in (\d{1,9}(?:\.\d{1,9})?)\s*(ms|s)\b", re.ASCII | re.IGNORECASE)


def delay_in_words(message: str) -> float | None:
    """Return the seconds that a message asks to wait, `None` if it does not."""
    found = _IN_WORDS.search(message)
    if found is None:
        return None
    return int(float(found[1])) / 1000 if found[2].lower() == "ms" else float(found[1])


_SECRETS: Final = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|\bsk-[\w-]{8,}|\brt[_.-][\w.-]{16,}|\bat-[\w-]{16,}|(?<=\bBearer )\S{16,}", re.ASCII
)


def redacted(text: str) -> str:
    """Return a text without what looks like a credential."""
    return _SECRETS.sub("<redacted>", text)


def without(data: bytes, secrets: Iterable[str]) -> bytes:
    """Return `data` without these secrets, however they look. Values too short to be one are left alone."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            data = data.replace(secret.encode(), b"<redacted>")
    return data

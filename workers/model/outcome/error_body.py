"""Reads why a server rejected or broke off a request, from the forms that servers use. Free of I/O.

Texts that leave this module are masked, and no longer than `DETAIL`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from greenroom.workers.model.outcome.delay import delay_in_words, duration

DETAIL: Final = 500
"""Characters of a response's body that an error text may hold."""

SHORTEST_SECRET: Final = 8
"""Characters."""


class Complaint(msgspec.Struct, frozen=True):
    """The content of an error response's body; empty where it says nothing."""

    message: str = ""
    code: str = ""
    type: str = ""
    plan: str = ""
    resets_at: float | None = None
    """The end of a usage limit, in seconds since the epoch."""
    delay: float | None = None
    """Seconds that the error asks to wait, in a member or as text."""

    @property
    def cause(self) -> str | None:
        """The server's name of the cause; a number only if there is no name."""
        names = [name for name in (self.code, self.type) if name]
        return next((name for name in names if not name.isdecimal()), names[0] if names else None)


_decode: Final = msgspec.json.Decoder().decode


def read_complaint(body: bytes) -> Complaint:
    """Return the content of a body: from known members, else as a text."""
    try:
        parsed: object = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        parsed = None
    return find_complaint(parsed) or Complaint(redacted(body.decode("utf-8", "replace").strip())[:DETAIL])


def find_complaint(value: object) -> Complaint | None:
    """Return the error in a JSON value, `None` if there is none.

    An error is in `error` or `errors`, or is the value itself; it is a text, or an object whose text has one of several
    names. Wrapped errors are unwrapped.
    """
    match value:
        case [*members]:
            return next(filter(None, map(find_complaint, members)), None)
        case {"error": {"error": _} as inner} | {"error": [*inner]} | {"errors": [*inner]} if inner:
            return find_complaint(inner) or _complaint({"message": _text(inner)})
        case {"error": dict() as error} if error:
            return _complaint(error)
        case {"error": str(error)} if error and isinstance(value, dict):
            parts = (error, _text({name: member for name, member in value.items() if name != "error"}))
            return _complaint({"message": ": ".join(dict.fromkeys(filter(None, parts)))}, value)
        case {"base_resp": {"status_code": int(code), "status_msg": message}} if code:
            return _complaint({"code": code, "message": message})
        case dict() if _text(value) or value.get("object") == "error":
            return _complaint(value)
    return None


_TEXTS: Final = ("message", "detail", "msg", "error_message", "status_msg")
"""Members that contain the text of an error, the most common first."""


def _text(error: object) -> str:
    match error:
        case str():
            return error
        case dict():
            return next((text for name in _TEXTS if (text := _text(error.get(name)))), "")
        case [first, *_]:
            return _text(first)
        case _:
            return ""


def _complaint(error: Mapping[str, object], around: object = None) -> Complaint:
    resets_at = error.get("resets_at")
    message = ": ".join(filter(None, (_text(error), _raw(error))))
    return Complaint(
        message=redacted(message)[:DETAIL],
        code=_name(error.get("code")),
        type=_name(error.get("type")) or _name(error.get("status")),
        plan=_name(error.get("plan_type")),
        resets_at=resets_at if isinstance(resets_at, int | float) and 0 <= resets_at < 1e11 else None,
        delay=next(_delays_in([error, around]), None) or delay_in_words(message),
    )


def _raw(error: Mapping[str, object]) -> str:
    """Return the error of the server behind a gateway."""
    match error.get("metadata"):
        case {"raw": str(text)}:
            return text
        case _:
            return ""


def _name(value: object) -> str:
    return str(value) if value and isinstance(value, str | int | float) else ""


_DELAYS: Final[Mapping[str, float]] = {
    "retryDelay": 1,
    "retry_delay": 1,
    "retry_after": 1,
    "retryAfter": 1,
    "retry_after_seconds": 1,
    "retry_after_ms": 0.001,
    "retryAfterMs": 0.001,
}
"""Members that contain a time to wait, and the seconds per unit of a plain number in them."""
_DEPTH: Final = 4


def _delays_in(value: object, depth: int = _DEPTH) -> Iterator[float]:
    """Yield the times to wait that an error names in its members, such as those of `google.rpc.RetryInfo`."""
    if isinstance(value, dict):
        for name, unit in _DELAYS.items():
            delay = value.get(name)
            seconds = duration(str(delay)) if isinstance(delay, str | int | float) else None
            if seconds is not None:
                yield seconds * (unit if str(delay).replace(".", "").isdecimal() else 1)
    if depth and isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _delays_in(member, depth - 1)


_SECRETS: Final = re.compile(
    r"eyJ[\w-]+\.[\w-]+\.[\w-]+|\bsk-[\w-]{8,}|\brt[_.-][\w.-]{16,}|\bat-[\w-]{16,}|(?<=\bBearer )\S{16,}", re.ASCII
)


def redacted(text: str) -> str:
    """Return a text with everything that looks like a credential masked."""
    return _SECRETS.sub("<redacted>", text)


def without(data: bytes, secrets: Iterable[str]) -> bytes:
    """Return `data` without these secrets, in any encoding. Values too short to be a secret are kept."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            data = data.replace(secret.encode(), b"<redacted>")
    return data

"""Parses the issuer's answers, which may consist of any bytes. Free of I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from greenroom.broker.token_issuer.classify import RefreshAnswered, RefreshRefused, Unanswered
from greenroom.protocol.secrecy import Secret
from greenroom.runtime.log.log import redact

LONGEST_MESSAGE: Final = 240
"""Characters of an issuer's message that are passed on."""


@dataclass(frozen=True, slots=True)
class TokenReply:
    """One answer, read to its end."""

    status: int
    reason: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)


def granted(reply: TokenReply) -> RefreshAnswered | Unanswered:
    """Read a 2xx answer to a refresh. What cannot be a token counts as left out, so that the rest is not lost."""
    members = text_members(reply.body)
    access, refresh, identity = (
        Secret(members[name]) if is_token(members.get(name, "")) else None
        for name in ("access_token", "refresh_token", "id_token")
    )
    if access is None and refresh is None:
        return Unanswered("answer without tokens")
    return RefreshAnswered(access, refresh, identity)


def is_token(text: str) -> bool:
    """Return whether a text can be a token: one that a header can carry, so visible ASCII and no blank."""
    return text.isascii() and text.isprintable() and text != "" and " " not in text


def refused(reply: TokenReply) -> RefreshRefused:
    """Parse any other answer to an exchange."""
    code, message = _error(reply.body)
    retry_after = reply.headers.get("Retry-After", "").strip()
    return RefreshRefused(
        status=reply.status,
        code=code,
        message=message,
        retry_after=float(retry_after) if retry_after.isascii() and retry_after.isdigit() else None,
        request_id=reply.headers.get("x-request-id"),
    )


def status_text(what: str, reply: TokenReply) -> str:
    """Return the error as text, with no more of the body than its message."""
    _, message = _error(reply.body)
    text = f"{what} {reply.status} {reply.reason}".rstrip()
    return f"{text}: {message}" if message else text


def text_members(body: bytes) -> dict[str, str]:
    """Return the members of a JSON object that are strings; none for anything else."""
    return {name: text for name, raw in _members(body).items() if (text := _text(raw)) is not None}


def _error(body: bytes) -> tuple[str | None, str | None]:
    """Return code and message of an error body; the code in lower case."""
    members, texts = _members(body), text_members(body)
    fault = text_members(bytes(members["error"])) if "error" in members else {}
    code = fault.get("code") or texts.get("error") or texts.get("code")
    message = fault.get("message") or texts.get("error_description")
    return (code.lower() if code else None), (redact(message)[:LONGEST_MESSAGE] if message else None)


def _members(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _text(raw: msgspec.Raw) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None

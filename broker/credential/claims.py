"""The claims of a token (JWT). Its signature is not checked: the issuer has sent it over TLS."""

import binascii
from base64 import urlsafe_b64decode
from typing import Final

import msgspec

_AUTH: Final = "https://api.openai.com/auth"
_PROFILE: Final = "https://api.openai.com/profile"


class TokenFormatError(ValueError):
    """The text is no JWT. The message never repeats it."""


class _Auth(msgspec.Struct, frozen=True):
    chatgpt_plan_type: str | None = None
    chatgpt_account_id: str | None = None
    chatgpt_user_id: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    completed_platform_onboarding: bool | None = None
    is_org_owner: bool | None = None


class _Profile(msgspec.Struct, frozen=True):
    email: str | None = None


class _Payload(msgspec.Struct, frozen=True):
    email: str | None = None
    sub: str | None = None
    exp: float | None = None
    iat: float | None = None
    auth: _Auth = msgspec.field(name=_AUTH, default=_Auth())
    profile: _Profile = msgspec.field(name=_PROFILE, default=_Profile())


class Claims(msgspec.Struct, frozen=True):
    """The claims that matter here; all are optional."""

    email: str | None = None
    subject: str | None = None
    user_id: str | None = None
    account_id: str | None = None
    plan_type: str | None = None
    expires_at: float | None = None
    """Seconds since the epoch."""
    issued_at: float | None = None
    organization_id: str = ""
    project_id: str = ""
    needs_setup: bool = False
    """Whether the owner of the organisation has not finished its setup yet."""


def read_claims(token: str) -> Claims:
    """Return the claims of a token. Raises `TokenFormatError`."""
    parts = token.split(".")
    if len(parts) < 3 or not all(parts[:3]):
        raise TokenFormatError("invalid ID token format")
    try:
        payload = msgspec.json.decode(_unpadded(parts[1]), type=_Payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise TokenFormatError("the token's payload is not the expected JSON") from None
    auth = payload.auth
    return Claims(
        email=payload.email or payload.profile.email,
        subject=payload.sub,
        user_id=auth.chatgpt_user_id or auth.user_id,
        account_id=auth.chatgpt_account_id,
        plan_type=auth.chatgpt_plan_type,
        expires_at=payload.exp,
        issued_at=payload.iat,
        organization_id=auth.organization_id or "",
        project_id=auth.project_id or "",
        needs_setup=not auth.completed_platform_onboarding and bool(auth.is_org_owner),
    )


def claims_or_none(token: str) -> Claims:
    """Return the claims of a token, or empty claims for one that is opaque, as access tokens may be."""
    try:
        return read_claims(token)
    except TokenFormatError:
        return Claims()


def _unpadded(part: str) -> bytes:
    """Decode base64url as RFC 7515 has it: no padding, no foreign characters, no stray bits."""
    try:
        data = urlsafe_b64decode(part.encode("ascii") + b"=" * (-len(part) % 4))
    except (ValueError, binascii.Error):
        raise TokenFormatError("the token's payload is not base64url") from None
    if _encode(data) != part:
        raise TokenFormatError("the token's payload is not base64url")
    return data


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode().replace("+", "-").replace("/", "_").rstrip("=")

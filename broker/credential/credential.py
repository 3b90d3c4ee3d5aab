"""The credential in force: a store's record or the environment's key, resolved to one mode and bearer."""

import hmac
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from greenroom.broker.credential.claims import claims_or_none
from greenroom.broker.credential.record import AuthRecord
from greenroom.protocol.choices import PreferredAuth
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.protocol.secrecy import Secret

ENVIRONMENT_KEYS: Final = ("CODEX_API_KEY", "OPENAI_API_KEY")
"""Variables whose key is used where there is no store; the first that is not blank takes precedence."""

_PERSONAL_PLANS: Final = frozenset({"free", "plus", "pro", "team"})


class CredentialOwner(msgspec.Struct, frozen=True):
    """The owner of a credential."""

    mode: AuthMode = "none"
    account_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    subject: str | None = None

    def is_same(self, other: "CredentialOwner") -> bool:
        """Compare account, then user, e-mail and subject by the first that both know."""
        if self.mode != other.mode:
            return False
        if self.mode != "chatgpt":
            return True
        if self.account_id and other.account_id and self.account_id != other.account_id:
            return False
        for one, another in (
            (self.user_id, other.user_id),
            (_normal(self.email), _normal(other.email)),
            (self.subject, other.subject),
        ):
            if one and another:
                return one == another
        return bool(self.account_id and other.account_id)

    def key(self, secret: bytes) -> str:
        """Return the identity key of snapshots: it distinguishes identities and reveals nothing about them."""
        parts = (self.mode, self.account_id, self.user_id or self.subject, _normal(self.email))
        return hmac.digest(secret, "\0".join(part or "" for part in parts).encode(), "sha256").hex()[:32]


class Credential(msgspec.Struct, frozen=True):
    """One credential. `mode` is what clients are told; it may have no bearer."""

    mode: AuthMode = "none"
    bearer: Secret | None = None
    refresh_token: Secret | None = None
    identity: CredentialOwner = CredentialOwner()
    plan_type: str | None = None
    expires_at: float | None = None
    """Seconds since the epoch, from the access token; `None` where that has no such claim."""
    lifetime: float | None = None
    """Lifetime of the access token in seconds."""
    refreshed_at: float | None = None
    source: Literal["store", "env"] = "store"
    unusable: str | None = None
    """Why the content of the store cannot be used, as text."""


SIGNED_OUT: Final = Credential()


def resolve_credential(
    record: AuthRecord | None,
    environment: Mapping[str, str],
    preferred: PreferredAuth,
    *,
    environment_key_first: bool = False,
) -> Credential:
    """Return the credential in force. `None` for a record means that there is no store.

    With `environment_key_first` a key in `CODEX_API_KEY` is used even where there is a store.
    """
    if environment_key_first and (key := environment.get(ENVIRONMENT_KEYS[0], "").strip()):
        return _of_key(key, "env")
    if record is None:
        return _of_environment(environment)
    if record.auth_mode not in (None, "apikey", "chatgpt"):
        return Credential(unusable=f"auth.json holds a login of the kind {record.auth_mode}")
    mode = record.auth_mode or _mode_of(record, preferred)
    return _of_key(record.openai_api_key, "store") if mode == "apikey" else _of_tokens(record)


def _mode_of(record: AuthRecord, preferred: PreferredAuth) -> PreferredAuth:
    if record.openai_api_key is None:
        return "chatgpt"
    if record.tokens is None or preferred == "apikey":
        return "apikey"
    claims = record.tokens.claims
    is_staff = (_normal(claims.email) or "").endswith("@openai.com")
    return "chatgpt" if is_staff or claims.plan_type in _PERSONAL_PLANS else "apikey"


def _of_environment(environment: Mapping[str, str]) -> Credential:
    for name in ENVIRONMENT_KEYS:
        if key := environment.get(name, "").strip():
            return _of_key(key, "env")
    return SIGNED_OUT


def _of_key(key: str | None, source: Literal["store", "env"]) -> Credential:
    return Credential("apikey", Secret(key) if key else None, identity=CredentialOwner("apikey"), source=source)


def _of_tokens(record: AuthRecord) -> Credential:
    tokens = record.tokens
    if tokens is None:
        return Credential("chatgpt", identity=CredentialOwner("chatgpt"))
    identified, access = tokens.claims, claims_or_none(tokens.access_token)
    begun = access.issued_at if access.issued_at is not None else record.refreshed_at
    return Credential(
        mode="chatgpt",
        bearer=Secret(tokens.access_token) if tokens.access_token else None,
        refresh_token=Secret(tokens.refresh_token) if tokens.refresh_token else None,
        identity=CredentialOwner(
            "chatgpt", tokens.account_id, identified.user_id, identified.email, identified.subject
        ),
        plan_type=identified.plan_type,
        expires_at=access.expires_at,
        lifetime=None if access.expires_at is None or begun is None else access.expires_at - begun,
        refreshed_at=record.refreshed_at,
    )


def _normal(email: str | None) -> str | None:
    return email.strip().lower() if email else None

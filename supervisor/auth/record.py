"""The content of `auth.json`: read strictly, written as the later releases write it, unknown members kept.

Spec/auth 1.2. No input is ever repeated in an error: the file is made of secrets.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from supervisor.auth.claims import Claims, read_claims

StoredMode: TypeAlias = Literal[
    "apikey", "chatgpt", "chatgptAuthTokens", "headers", "agentIdentity", "personalAccessToken", "bedrockApiKey"
]


class StoreError(ValueError):
    """The file is no credential record. The text names the place and never the value."""


def _jwt(token: str) -> str:
    read_claims(token)
    return token


def _timestamp(text: str) -> str:
    _parsed(text)
    return text


def _parsed(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError("not an RFC 3339 time")
    return moment.astimezone(UTC)


class _Stored(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, frozen=True, hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    __str__ = __repr__


class Tokens(_Stored):
    """The member `tokens`."""

    id_token: Annotated[str, AfterValidator(_jwt)]
    access_token: str
    refresh_token: str
    account_id: str | None = None

    @property
    def claims(self) -> Claims:
        """What the id token says."""
        return read_claims(self.id_token)


class AuthRecord(_Stored):
    """One content of the file. Its members stand in the order in which they are written."""

    auth_mode: StoredMode | None = None
    openai_api_key: str | None = Field(None, alias="OPENAI_API_KEY")
    tokens: Tokens | None = None
    last_refresh: Annotated[str, AfterValidator(_timestamp)] | None = None

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Decode the file. Raises `StoreError`."""
        try:
            return cls.model_validate(msgspec.json.decode(data))
        except ValidationError as error:
            places = ", ".join(".".join(map(str, fault["loc"])) or "top level" for fault in error.errors())
            raise StoreError(f"auth.json does not fit at {places}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise StoreError("auth.json is not JSON") from None

    @classmethod
    def of_key(cls, api_key: str, unknown: "AuthRecord | None" = None) -> Self:
        """Return the record of a login with an API key."""
        return cls.model_validate({"auth_mode": "apikey", "OPENAI_API_KEY": api_key, **_unknown(unknown)})

    @classmethod
    def of_login(cls, tokens: Tokens, api_key: str | None, now: float, unknown: "AuthRecord | None" = None) -> Self:
        """Return the record of a ChatGPT login: everything known is new, unknown members stay."""
        members = {"auth_mode": "chatgpt", "OPENAI_API_KEY": api_key, "tokens": tokens, "last_refresh": stamp(now)}
        return cls.model_validate(members | _unknown(unknown))

    def refreshed(self, tokens: Tokens, now: float) -> "AuthRecord":
        """Return the record after a redemption."""
        return self.model_copy(update={"tokens": tokens, "last_refresh": stamp(now)})

    def encoded(self) -> bytes:
        """Return the file's new content: two-space indentation, no newline at the end."""
        members = self.model_dump(by_alias=True)
        absent = [name for name in _OMITTED if members[name] is None]
        kept = {name: value for name, value in members.items() if name not in absent}
        return msgspec.json.format(msgspec.json.encode(kept), indent=2)

    @property
    def refreshed_at(self) -> float | None:
        """Seconds since the epoch of the last refresh."""
        return None if self.last_refresh is None else _parsed(self.last_refresh).timestamp()


_OMITTED: Final = ("auth_mode", "tokens", "last_refresh")
"""Members that are left out where they are absent; the API key is then written as `null`."""


def stamp(now: float) -> str:
    """Return a time as the file has it."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _unknown(record: AuthRecord | None) -> dict[str, object]:
    return {} if record is None else dict(record.model_extra or {})

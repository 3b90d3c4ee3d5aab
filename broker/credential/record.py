"""The content of `auth.json`: read strictly, written as the later releases write it, unknown members kept.

No input is ever repeated in an error, because the file consists of secrets.
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar

import msgspec

from greenroom.broker.credential.claims import Claims, read_claims
from greenroom.config.encoding import EncodingError, decode_text
from greenroom.protocol.message import place_of

StoredMode: TypeAlias = Literal[
    "apikey", "chatgpt", "chatgptAuthTokens", "headers", "agentIdentity", "personalAccessToken", "bedrockApiKey"
]


S = TypeVar("S", bound="_Stored")


class StoreError(ValueError):
    """The file is no credential record. The text names the place and never the value."""


def _parsed(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or "T" not in text.upper():
        raise ValueError("not an RFC 3339 time")
    return moment.astimezone(UTC)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Members of the file, the known ones under their names and all others in `unknown`."""

    unknown: dict[str, object] = msgspec.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    @classmethod
    def known(cls) -> dict[str, str]:
        """Return the known members: name in the file, and name of the field."""
        return {field.encode_name: field.name for field in msgspec.structs.fields(cls) if field.name != "unknown"}


class Tokens(_Stored, frozen=True, kw_only=True):
    """The member `tokens`. Raises `TokenFormatError` for an id token that is no JWT."""

    id_token: str
    access_token: str
    refresh_token: str
    account_id: str | None = None

    def __post_init__(self) -> None:
        read_claims(self.id_token)

    @property
    def claims(self) -> Claims:
        """The claims of the id token."""
        return read_claims(self.id_token)


class AuthRecord(_Stored, frozen=True, kw_only=True):
    """One content of the file. Its members are in the order in which they are written."""

    auth_mode: StoredMode | None = None
    openai_api_key: str | None = msgspec.field(default=None, name="OPENAI_API_KEY")
    tokens: Tokens | None = None
    last_refresh: str | None = None

    def __post_init__(self) -> None:
        if self.last_refresh is not None:
            _parsed(self.last_refresh)

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Decode the file. Raises `StoreError`."""
        try:
            content = msgspec.json.decode(decode_text(data))
        except EncodingError as error:
            raise StoreError(f"auth.json cannot be read: {error}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise StoreError("auth.json is not JSON") from None
        return cls.of(content)

    @classmethod
    def of(cls, content: object) -> Self:
        """Decode the file's JSON. Raises `StoreError`."""
        if not isinstance(content, dict):
            raise _misfit("top level")
        tokens = content.get("tokens")
        record = _taken(cls, {**content, "tokens": None}, "last_refresh")
        if tokens is None:
            return record
        if not isinstance(tokens, dict):
            raise _misfit("tokens")
        return msgspec.structs.replace(record, tokens=_taken(Tokens, tokens, "id_token", "tokens."))

    @classmethod
    def of_key(cls, api_key: str, found: "AuthRecord | None" = None) -> Self:
        """Return the record of a login with an API key; unknown members of `found` are kept."""
        return cls(auth_mode="apikey", openai_api_key=api_key, unknown=_unknown(found))

    @classmethod
    def of_login(cls, tokens: Tokens, api_key: str | None, now: float, found: "AuthRecord | None" = None) -> Self:
        """Return the record of a ChatGPT login: everything known is new, unknown members of `found` stay.

        Those of its tokens stay with the same account alone: they may belong to what is replaced.
        """
        old = None if found is None else found.tokens
        if old is not None and _account(old) == _account(tokens):
            tokens = msgspec.structs.replace(tokens, unknown=old.unknown)
        return cls(
            auth_mode="chatgpt",
            openai_api_key=api_key,
            tokens=tokens,
            last_refresh=stamp(now),
            unknown=_unknown(found),
        )

    def renewed_by(self, fresh: "AuthRecord") -> "AuthRecord":
        """Return this record with the tokens of a refresh, whatever else has been written to it meanwhile."""
        if self.tokens is None or fresh.tokens is None:
            return fresh
        tokens = msgspec.structs.replace(fresh.tokens, unknown=self.tokens.unknown)
        return msgspec.structs.replace(self, tokens=tokens, last_refresh=fresh.last_refresh)

    def refreshed(self, tokens: Tokens, now: float) -> "AuthRecord":
        """Return the record after a refresh."""
        return msgspec.structs.replace(self, tokens=tokens, last_refresh=stamp(now))

    def encoded(self) -> bytes:
        """Return the file's new content: two-space indentation, no newline at the end."""
        members = _members(self)
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
    """Return a time in the format of the file."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _unknown(record: AuthRecord | None) -> dict[str, object]:
    return {} if record is None else record.unknown


def _account(tokens: Tokens) -> tuple[str | None, str | None]:
    return tokens.account_id or tokens.claims.account_id, tokens.claims.user_id


def _taken(kind: type[S], content: dict[str, Any], checked: str, within: str = "") -> S:
    """Convert a part of the file to a struct. `checked` is the member that `kind` itself checks."""
    known = kind.known()
    try:
        taken = msgspec.convert({name: value for name, value in content.items() if name in known}, kind)
    except msgspec.ValidationError as error:
        raise _misfit(within + (place_of(error) or checked)) from None
    return msgspec.structs.replace(taken, unknown={name: value for name, value in content.items() if name not in known})


def _members(stored: _Stored) -> dict[str, object]:
    """Return all members under their names in the file."""
    members = {name: getattr(stored, field) for name, field in stored.known().items()}
    return {
        name: _members(value) if isinstance(value, _Stored) else value
        for name, value in (members | stored.unknown).items()
    }


def _misfit(place: str) -> StoreError:
    return StoreError(f"auth.json does not fit at {place}")

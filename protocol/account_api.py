"""Params of the methods about credentials."""

from uuid import UUID

import msgspec


class StatusParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `getAuthStatus` and `account/read`."""

    include_token: bool | None = None
    refresh_token: bool | None = None


class KeyParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `loginApiKey`."""

    api_key: str


class LoginParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `account/login/start`."""

    type: str
    api_key: str | None = None


class LoginIdParams(msgspec.Struct, frozen=True, rename="camel"):
    """Params of `cancelLoginChatGpt` and `account/login/cancel`."""

    login_id: UUID

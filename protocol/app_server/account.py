"""Params and results that this protocol has in common with the conversation API, and what it adds to them."""

from typing import Any, Literal

from greenroom.protocol.account_api import LoginIdParams, LoginParams, StatusParams
from greenroom.protocol.app_server.wire import Result
from greenroom.protocol.conversation_api import FuzzyFileSearch, ListModels, ModelList

__all__ = ["FuzzyFileSearch", "ListModels", "LoginIdParams", "LoginParams", "ModelList", "StatusParams"]


class GetAccountResponse(Result, frozen=True):
    """Result of `account/read`."""

    account: dict[str, Any] | None
    """Tagged by `type`: `apiKey`, or `chatgpt` with `email` and `planType`."""
    requires_openai_auth: bool


class LoginAccountResponse(Result, frozen=True):
    """Result of `account/login/start`."""

    type: Literal["apiKey", "chatgpt", "chatgptDeviceCode"]
    login_id: str | None = None
    auth_url: str | None = None
    verification_url: str | None = None
    user_code: str | None = None


class CancelLoginAccountResponse(Result, frozen=True):
    """Result of `account/login/cancel`."""

    status: Literal["canceled", "notFound"]


class FuzzyFileSearchResponse(Result, frozen=True):
    """Result of `fuzzyFileSearch`."""

    files: list[dict[str, Any]]


class GetAccountRateLimitsResponse(Result, frozen=True):
    """Result of `account/rateLimits/read`. What no response of the model's server has told is missing."""

    rate_limits: dict[str, Any]
    rate_limits_by_limit_id: dict[str, Any] | None

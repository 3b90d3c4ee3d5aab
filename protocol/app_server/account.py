"""Params and results that this protocol has in common with the conversation API, and what it adds to them."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from greenroom.protocol.account_api import LoginIdParams, LoginParams, StatusParams
from greenroom.protocol.app_server.wire import Params, Result
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


class GetAccountRateLimitsParams(Params, frozen=True):
    """Params of `account/rateLimits/read`."""

    exclude_reset_credit_details: bool = False
    """Whether the number of credits for resets is enough."""
    supports_luna_reserve: bool = False


class GetAccountRateLimitsResponse(Result, frozen=True):
    """Result of `account/rateLimits/read`."""

    rate_limits: dict[str, Any]
    rate_limits_by_limit_id: dict[str, Any] | None
    ordinary_usage_allowed: bool | None
    """`None` where the service does not say it of this account and user."""
    rate_limit_reset_credits: dict[str, Any] | None
    account_id: str | None
    rate_limit_upsell: Any


class GetAccountTokenUsageParams(Params, frozen=True):
    """Params of `account/usage/read`."""

    thread_id: str | None = None
    """What is wanted is the cost of this thread alone."""


class AccountTokenUsageSummary(Result, frozen=True):
    """What the account has used in all."""

    lifetime_tokens: int | None = None
    peak_daily_tokens: int | None = None
    longest_running_turn_sec: int | None = None
    current_streak_days: int | None = None
    longest_streak_days: int | None = None


class AccountTokenUsageDailyBucket(Result, frozen=True):
    """What was used on one day."""

    start_date: str
    tokens: int


class ThreadUsageBreakdownGroup(Result, frozen=True):
    """What a thread has cost with one model and effort."""

    estimated_usage_credits_micros: int
    model: str | None = None
    reasoning_effort: str | None = None
    speed: str | None = None
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    net_new_input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None


class ThreadUsage(Result, frozen=True):
    """What a thread has cost."""

    thread_id: str
    estimated_usage_credits_micros: int
    groups: list[ThreadUsageBreakdownGroup]
    estimated_usage_usd_micros: int | None = None
    native_usage_usd_micros: int | None = None


class GetAccountTokenUsageResponse(Result, frozen=True):
    """Result of `account/usage/read`."""

    summary: AccountTokenUsageSummary = AccountTokenUsageSummary()
    daily_usage_buckets: list[AccountTokenUsageDailyBucket] | None = None
    thread_usage: ThreadUsage | None = None
    """`None` also where the service does not know the thread."""


class WorkspaceMessage(Result, frozen=True):
    """A message of the account's workspace."""

    message_id: str
    message_type: Literal["headline", "announcement", "unknown"]
    message_body: str
    created_at: int | None
    """Seconds since the epoch, as `archived_at`."""
    archived_at: int | None


class GetWorkspaceMessagesResponse(Result, frozen=True):
    """Result of `account/workspaceMessages/read`."""

    feature_enabled: bool
    messages: list[WorkspaceMessage]


class ConsumeResetCreditParams(Params, frozen=True):
    """Params of `account/rateLimitResetCredit/consume`."""

    idempotency_key: Annotated[str, Meta(min_length=1)]
    """The same for each attempt of one reset."""
    credit_id: Annotated[str, Meta(min_length=1)] | None = None
    """`None`: the next one."""


class ConsumeResetCreditResponse(Result, frozen=True):
    """Result of `account/rateLimitResetCredit/consume`."""

    outcome: Literal["reset", "nothingToReset", "noCredit", "alreadyRedeemed"]


class SendAddCreditsNudgeEmailParams(Params, frozen=True):
    """Params of `account/sendAddCreditsNudgeEmail`."""

    credit_type: Literal["credits", "usage_limit"]


class SendAddCreditsNudgeEmailResponse(Result, frozen=True):
    """Result of `account/sendAddCreditsNudgeEmail`."""

    status: Literal["sent", "cooldown_active"]


class GetAccountSecuritySetupResponse(Result, frozen=True):
    """Result of `account/securitySetup/read`."""

    notice: dict[str, Any] | None

"""The answers of the account's service, as far as they matter here. Members that are missing or null are not known."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Raw, Struct

Instant: TypeAlias = Annotated[datetime, Meta(tz=True)]


class ServiceAnswer(Struct, frozen=True, kw_only=True):
    """Base of all. Unknown members are ignored."""


class Window(ServiceAnswer, frozen=True):
    """A window of a rate limit."""

    used_percent: float
    limit_window_seconds: int | None = None
    reset_at: int | None = None
    """Seconds since the epoch."""


class RateLimit(ServiceAnswer, frozen=True):
    """A rate limit."""

    allowed: bool | None = None
    primary_window: Window | None = None
    secondary_window: Window | None = None


class AdditionalRateLimit(ServiceAnswer, frozen=True):
    """The rate limit of one feature."""

    limit_name: str
    metered_feature: str
    rate_limit: RateLimit | None = None


class CreditBalance(ServiceAnswer, frozen=True):
    """Credits that were bought."""

    has_credits: bool
    unlimited: bool
    balance: str | None = None


class IndividualLimit(ServiceAnswer, frozen=True):
    """What the user may spend in a workspace."""

    limit: str
    used: str
    remaining_percent: int
    reset_at: int


class SpendControl(ServiceAnswer, frozen=True):
    """Limits of spending."""

    reached: bool | None = None
    individual_limit: IndividualLimit | None = None


class ReachedType(ServiceAnswer, frozen=True):
    """Which limit is reached."""

    type: str


class CreditCount(ServiceAnswer, frozen=True):
    """How many credits for resets there are."""

    available_count: int


class AccountUsage(ServiceAnswer, frozen=True):
    """Of the route `usage`."""

    plan_type: str
    account_id: str | None = None
    user_id: str | None = None
    rate_limit: RateLimit | None = None
    additional_rate_limits: tuple[AdditionalRateLimit, ...] | None = None
    credits: CreditBalance | None = None
    spend_control: SpendControl | None = None
    rate_limit_reached_type: ReachedType | None = None
    rate_limit_reset_credits: CreditCount | None = None
    rate_limit_upsell: Raw = Raw(b"null")


class ResetCredit(ServiceAnswer, frozen=True):
    """A credit for a reset."""

    id: str
    reset_type: str
    status: str
    granted_at: Instant
    expires_at: Instant | None = None
    title: str | None = None
    description: str | None = None


class ResetCredits(CreditCount, frozen=True):
    """Of the route `rate-limit-reset-credits`."""

    credits: tuple[ResetCredit, ...]


class DailyTokens(ServiceAnswer, frozen=True):
    """What was used on one day."""

    start_date: str
    tokens: int


class AccountStatistics(ServiceAnswer, frozen=True):
    """What the account has used."""

    lifetime_tokens: int | None = None
    peak_daily_tokens: int | None = None
    longest_running_turn_sec: int | None = None
    current_streak_days: int | None = None
    longest_streak_days: int | None = None
    daily_usage_buckets: tuple[DailyTokens, ...] | None = None


class AccountProfile(ServiceAnswer, frozen=True):
    """Of the route `profiles/me`."""

    stats: AccountStatistics


class ThreadCostGroup(ServiceAnswer, frozen=True):
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


class ThreadCost(ServiceAnswer, frozen=True):
    """What a thread has cost."""

    thread_id: str
    estimated_usage_credits_micros: int
    estimated_usage_usd_micros: int | None = None
    native_usage_usd_micros: int | None = None
    groups: tuple[ThreadCostGroup, ...] = ()


class ThreadCosts(ServiceAnswer, frozen=True):
    """Of the route `usage/thread_usage/query`."""

    threads: tuple[ThreadCost, ...]


class ServiceMessage(ServiceAnswer, frozen=True):
    """A message of a workspace."""

    message_id: str
    message_type: str
    message_body: str
    created_at: Instant | None = None
    archived_at: Instant | None = None


class ServiceMessages(ServiceAnswer, frozen=True):
    """Of the route `workspace-messages`."""

    messages: tuple[ServiceMessage, ...] | None = None


class ResetConsumption(ServiceAnswer, frozen=True):
    """Of the route `rate-limit-reset-credits/consume`."""

    code: Literal["reset", "nothing_to_reset", "no_credit", "already_redeemed"]


class NoticeAction(ServiceAnswer, frozen=True):
    """What a notice offers."""

    label: str
    url: str


class Notice(ServiceAnswer, frozen=True):
    """A notice about the security of the account."""

    title: str
    description: str
    action: NoticeAction


class SecuritySetup(ServiceAnswer, frozen=True):
    """Of the route `security-setup`."""

    notice: Notice | None = None

"""The answers of the account's service in the form of this protocol. Pure functions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from msgspec.structs import asdict

from greenroom.protocol.app_server import account as wire
from greenroom.supervisor.frontend.app_server.account import service_answers as service

MAIN_LIMIT: Final = "codex"
"""The name of the limit that holds for all that Codex does."""
PLANS: Final = frozenset(
    {
        *("free", "go", "plus", "pro", "prolite", "promax", "team", "business", "ent26", "enterprise", "edu", "sci"),
        *("self_serve_business_prolite", "self_serve_business_usage_based", "enterprise_cbp_automation"),
        *("enterprise_cbp_usage_based", "edu_plus", "edu_pro", "sci_plus"),
    }
)
_PLAN_NAMES: Final = {"education": "edu"}
REACHED: Final = frozenset(
    {
        *("rate_limit_reached", "workspace_owner_credits_depleted", "workspace_member_credits_depleted"),
        *("workspace_owner_usage_limit_reached", "workspace_member_usage_limit_reached"),
    }
)
_CREDIT_STATUSES: Final = frozenset({"available", "redeeming", "redeemed"})
_MESSAGE_TYPES: Final[Mapping[str, Literal["headline", "announcement"]]] = {
    "headline": "headline",
    "announcement": "announcement",
}
_OUTCOMES: Final[Mapping[str, Literal["reset", "nothingToReset", "noCredit", "alreadyRedeemed"]]] = {
    "reset": "reset",
    "nothing_to_reset": "nothingToReset",
    "no_credit": "noCredit",
    "already_redeemed": "alreadyRedeemed",
}


def rate_limits(
    usage: service.AccountUsage, resets: service.ResetCredits | None, account_id: str | None, user_id: str | None
) -> wire.GetAccountRateLimitsResponse:
    """Return the result of `account/rateLimits/read`, for the account and user that are logged in."""
    plan = _PLAN_NAMES.get(usage.plan_type, usage.plan_type)
    plan = plan if plan in PLANS else "unknown"
    main = _main_limit(usage, plan)
    others = {
        one.metered_feature: _limit(one.metered_feature, one.limit_name, one.rate_limit, plan)
        for one in usage.additional_rate_limits or ()
    }
    is_own = account_id is not None and (usage.account_id, usage.user_id) == (account_id, user_id)
    return wire.GetAccountRateLimitsResponse(
        rate_limits=main,
        rate_limits_by_limit_id={**others, MAIN_LIMIT: main},
        ordinary_usage_allowed=usage.rate_limit.allowed if is_own and usage.rate_limit is not None else None,
        rate_limit_reset_credits=_reset_credits(usage.rate_limit_reset_credits, resets),
        account_id=usage.account_id,
        rate_limit_upsell=usage.rate_limit_upsell if is_own else None,
    )


def _main_limit(usage: service.AccountUsage, plan: str) -> dict[str, Any]:
    spending = usage.spend_control
    balance = usage.credits
    reached = usage.rate_limit_reached_type
    own = None if spending is None else spending.individual_limit
    return _limit(MAIN_LIMIT, None, usage.rate_limit, plan) | {
        "credits": None
        if balance is None
        else {"hasCredits": balance.has_credits, "unlimited": balance.unlimited, "balance": balance.balance},
        "individualLimit": None
        if own is None
        else {
            "limit": own.limit,
            "used": own.used,
            "remainingPercent": own.remaining_percent,
            "resetsAt": own.reset_at,
        },
        "spendControlReached": None if spending is None else spending.reached,
        "rateLimitReachedType": reached.type if reached is not None and reached.type in REACHED else None,
    }


def _limit(name: str, title: str | None, limit: service.RateLimit | None, plan: str) -> dict[str, Any]:
    unknown = ("credits", "individualLimit", "spendControlReached", "rateLimitReachedType", "normalModelSlug")
    return {
        "limitId": name,
        "limitName": title,
        "primary": None if limit is None else _window(limit.primary_window),
        "secondary": None if limit is None else _window(limit.secondary_window),
        "planType": plan,
        **dict.fromkeys(unknown),
    }


def _window(window: service.Window | None) -> dict[str, Any] | None:
    if window is None:
        return None
    seconds = window.limit_window_seconds
    return {
        "usedPercent": round(window.used_percent),
        "windowDurationMins": None if seconds is None or seconds <= 0 else -(-seconds // 60),
        "resetsAt": window.reset_at,
    }


def _reset_credits(count: service.CreditCount | None, found: service.ResetCredits | None) -> dict[str, Any] | None:
    if found is not None:
        return {"availableCount": found.available_count, "credits": [_reset_credit(one) for one in found.credits]}
    return None if count is None else {"availableCount": count.available_count, "credits": None}


def _reset_credit(credit: service.ResetCredit) -> dict[str, Any]:
    return {
        "id": credit.id,
        "resetType": "codexRateLimits" if credit.reset_type == "codex_rate_limits" else "unknown",
        "status": credit.status if credit.status in _CREDIT_STATUSES else "unknown",
        "grantedAt": _seconds(credit.granted_at),
        "expiresAt": _seconds(credit.expires_at),
        "title": credit.title,
        "description": credit.description,
    }


def account_token_usage(profile: service.AccountProfile) -> wire.GetAccountTokenUsageResponse:
    """Return the result of `account/usage/read` about the account."""
    numbers = asdict(profile.stats)
    days: tuple[service.DailyTokens, ...] | None = numbers.pop("daily_usage_buckets")
    return wire.GetAccountTokenUsageResponse(
        summary=wire.AccountTokenUsageSummary(**numbers),
        daily_usage_buckets=None
        if days is None
        else [wire.AccountTokenUsageDailyBucket(**asdict(day)) for day in days],
    )


def thread_usage(cost: service.ThreadCost) -> wire.GetAccountTokenUsageResponse:
    """Return the result of `account/usage/read` about a thread."""
    members = asdict(cost)
    groups = [wire.ThreadUsageBreakdownGroup(**asdict(group)) for group in members.pop("groups")]
    return wire.GetAccountTokenUsageResponse(thread_usage=wire.ThreadUsage(groups=groups, **members))


def workspace_messages(told: service.ServiceMessages | None) -> wire.GetWorkspaceMessagesResponse:
    """Return the result of `account/workspaceMessages/read`; `None` where the service has no such route."""
    messages = [
        wire.WorkspaceMessage(
            message_id=one.message_id,
            message_type=_MESSAGE_TYPES.get(one.message_type, "unknown"),
            message_body=one.message_body,
            created_at=_seconds(one.created_at),
            archived_at=_seconds(one.archived_at),
        )
        for one in (told and told.messages) or ()
    ]
    return wire.GetWorkspaceMessagesResponse(feature_enabled=told is not None, messages=messages)


def consumption(told: service.ResetConsumption) -> wire.ConsumeResetCreditResponse:
    """Return the result of `account/rateLimitResetCredit/consume`."""
    return wire.ConsumeResetCreditResponse(outcome=_OUTCOMES[told.code])


def security_notice(
    told: service.SecuritySetup | None, account_id: str | None, user_id: str | None
) -> wire.GetAccountSecuritySetupResponse:
    """Return the result of `account/securitySetup/read`, for the account and user that are logged in."""
    if told is None or told.notice is None or account_id is None or user_id is None:
        return wire.GetAccountSecuritySetupResponse(notice=None)
    notice = told.notice
    return wire.GetAccountSecuritySetupResponse(
        notice={
            "accountId": account_id,
            "userId": user_id,
            "title": notice.title,
            "description": notice.description,
            "action": {"label": notice.action.label, "url": notice.action.url},
        }
    )


def _seconds(instant: datetime | None) -> int | None:
    return None if instant is None else int(instant.timestamp())

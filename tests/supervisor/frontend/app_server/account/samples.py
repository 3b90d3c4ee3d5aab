"""Answers of an account's service: those that say much, and those that say as little as they may."""

from typing import Any, Final

WINDOW: Final = {"used_percent": 12, "limit_window_seconds": 18000, "reset_after_seconds": 100, "reset_at": 1796000000}
USAGE: Final[dict[str, Any]] = {
    "account_id": "acc-123",
    "user_id": "user-1",
    "plan_type": "pro",
    "rate_limit": {
        "allowed": True,
        "limit_reached": False,
        "primary_window": WINDOW,
        "secondary_window": {**WINDOW, "limit_window_seconds": 604799},
    },
    "additional_rate_limits": [
        {
            "limit_name": "Other",
            "metered_feature": "codex_other",
            "rate_limit": {"allowed": True, "limit_reached": False, "primary_window": WINDOW},
        },
        {"limit_name": "None", "metered_feature": "codex_none", "rate_limit": None},
    ],
    "credits": {"has_credits": True, "unlimited": False, "balance": "9.5"},
    "spend_control": {
        "reached": True,
        "individual_limit": {
            "limit": "100",
            "used": "3",
            "remaining": "97",
            "remaining_percent": 97,
            "used_percent": 3,
            "reset_at": 1796000001,
            "reset_after_seconds": 4,
            "source": "s",
            "period": "month",
            "limit_type": "t",
        },
    },
    "rate_limit_reached_type": {"type": "rate_limit_reached"},
    "rate_limit_reset_credits": {"available_count": 2},
    "rate_limit_upsell": {"some_name": [1]},
}
CREDIT: Final = {
    "id": "c1",
    "reset_type": "codex_rate_limits",
    "status": "available",
    "granted_at": "2026-11-01T00:00:00Z",
    "expires_at": "2026-12-01T00:00:00.5+01:00",
    "title": "T",
    "description": "D",
}
RESETS: Final = {"available_count": 1, "credits": [CREDIT, {**CREDIT, "status": "new", "expires_at": None}]}
PROFILE: Final = {
    "profile": {},
    "stats": {
        "lifetime_tokens": 5,
        "peak_daily_tokens": 3,
        "longest_running_turn_sec": 9,
        "current_streak_days": 1,
        "longest_streak_days": 2,
        "daily_usage_buckets": [{"start_date": "2026-11-01", "tokens": 7}],
    },
}
THREAD: Final = "0199a213-81c0-7800-8aa1-bbab2a035a53"
COST: Final = {
    "thread_id": THREAD,
    "estimated_usage_credits_micros": 1,
    "estimated_usage_usd_micros": 2,
    "native_usage_usd_micros": 3,
    "groups": [
        {
            "model": "m",
            "reasoning_effort": "high",
            "speed": "fast",
            "input_tokens": 1,
            "cached_input_tokens": 2,
            "net_new_input_tokens": 3,
            "output_tokens": 4,
            "total_tokens": 5,
            "estimated_usage_credits_micros": 6,
        },
        {"estimated_usage_credits_micros": 6},
    ],
}
MESSAGES: Final = {
    "messages": [
        {
            "message_id": "m1",
            "message_type": "headline",
            "message_body": "b",
            "created_at": "2026-11-01T00:00:00Z",
            "archived_at": None,
        },
        {"message_id": "m2", "message_type": "new", "message_body": "b"},
    ]
}
NOTICE: Final = {"notice": {"title": "t", "description": "d", "action": {"label": "l", "url": "https://chatgpt.com/x"}}}

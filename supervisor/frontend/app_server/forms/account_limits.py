"""The account's limits, as a response of the model's server tells them, in the form of this protocol."""

from collections.abc import Mapping
from typing import Final

_MEMBERS: Final[Mapping[str, str]] = {
    "limitId": "limit_id",
    "limitName": "limit_name",
    "planType": "plan_type",
    "rateLimitReachedType": "rate_limit_reached_type",
}
_CREDITS: Final[Mapping[str, str]] = {"hasCredits": "has_credits", "unlimited": "unlimited", "balance": "balance"}


def limits_snapshot(limits: Mapping[str, object]) -> dict[str, object]:
    """Return the `rate_limits` of an event, without what is not known."""
    windows = {name: limits.get(name) for name in ("primary", "secondary")}
    given: dict[str, object] = {new: limits[old] for new, old in _MEMBERS.items() if limits.get(old) is not None}
    given |= {name: _window(window) for name, window in windows.items() if isinstance(window, dict)}
    if isinstance(money := limits.get("credits"), dict):
        given["credits"] = {new: money.get(old) for new, old in _CREDITS.items()}
    return given


def _window(window: Mapping[str, object]) -> dict[str, object]:
    used = window.get("used_percent")
    return {
        "usedPercent": round(used) if isinstance(used, int | float) else 0,
        "windowDurationMins": window.get("window_minutes"),
        "resetsAt": window.get("resets_at"),
    }

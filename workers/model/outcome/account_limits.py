"""Reads what a response tells of the account's limits, whatever its status. Free of I/O."""

import math
from collections.abc import Mapping
from typing import Final

from greenroom.protocol.items import JsonObject

LIMIT: Final = "codex"
"""The id of the limit that the headers are about."""
_PREFIX: Final = f"x-{LIMIT}-"
_REACHED: Final = frozenset(
    {
        "rate_limit_reached",
        "workspace_owner_credits_depleted",
        "workspace_member_credits_depleted",
        "workspace_owner_usage_limit_reached",
        "workspace_member_usage_limit_reached",
    }
)


def account_limits(headers: Mapping[str, str]) -> JsonObject | None:
    """Return the `rate_limits` of a `token_count`; `None` where no header tells of any.

    The names of `headers` are looked up as they are written here, in lower case. What is no valid value counts as
    missing.
    """
    primary, secondary = _window(headers, "primary"), _window(headers, "secondary")
    found: JsonObject = {
        "primary": primary,
        "secondary": secondary,
        "credits": _credits(headers),
        "rate_limit_reached_type": _reached(headers),
    }
    if all(value is None for value in found.values()):
        return None
    return {
        "limit_id": LIMIT,
        "limit_name": headers.get(f"{_PREFIX}limit-name") or None,
        "individual_limit": None,
        "spend_control_reached": None,
        "plan_type": None,
        **found,
    }


def _window(headers: Mapping[str, str], name: str) -> JsonObject | None:
    used = _number(headers.get(f"{_PREFIX}{name}-used-percent"))
    if used is None:
        return None
    minutes = _number(headers.get(f"{_PREFIX}{name}-window-minutes"))
    reset_at = _number(headers.get(f"{_PREFIX}{name}-reset-at"))
    return {
        "used_percent": used,
        "window_minutes": None if minutes is None else round(minutes),
        "resets_at": None if reset_at is None else round(reset_at),
    }


def _credits(headers: Mapping[str, str]) -> JsonObject | None:
    has_credits, unlimited = (_flag(headers.get(f"{_PREFIX}credits-{name}")) for name in ("has-credits", "unlimited"))
    if has_credits is None or unlimited is None:
        return None
    balance = headers.get(f"{_PREFIX}credits-balance")
    return {"has_credits": has_credits, "unlimited": unlimited, "balance": balance or None}


def _reached(headers: Mapping[str, str]) -> str | None:
    reached = headers.get(f"{_PREFIX}rate-limit-reached-type", "").strip()
    return reached if reached in _REACHED else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and 0 <= number < 2**53 else None


def _flag(text: str | None) -> bool | None:
    return {"true": True, "1": True, "false": False, "0": False}.get((text or "").strip().lower())

"""The message for people when their account has reached its usage limit."""

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Final

from greenroom.workers.model.outcome.error_body import Complaint

_PLAN_HINTS: Final[Mapping[str, str]] = {
    "plus": " Upgrade to Pro (https://chatgpt.com/explore/pro), visit https://chatgpt.com/codex/settings/usage to"
    " purchase more credits or try again",
}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Not `strftime`, whose names depend on the locale."""


def usage_limit_text(complaint: Complaint, now: float, zone: tzinfo | None = None) -> str:
    """Return the message for the limit in `complaint`; `zone` is `None` for the local one."""
    resets_at = complaint.resets_at
    when = "later" if resets_at is None else f"at {_time_text(resets_at, now, zone)}"
    return f"You've hit your usage limit.{_PLAN_HINTS.get(complaint.plan, ' Try again')} {when}."


def _time_text(moment: float, now: float, zone: tzinfo | None) -> str:
    """Format a time as `2:13 AM` if it is today, else as `Nov 23rd, 2026 2:13 AM`."""
    then, today = (datetime.fromtimestamp(seconds, UTC).astimezone(zone) for seconds in (moment, now))
    clock = f"{then.hour % 12 or 12}:{then.minute:02} {'AM' if then.hour < 12 else 'PM'}"
    if then.date() == today.date():
        return clock
    return f"{_MONTHS[then.month - 1]} {then.day}{_ordinal(then.day)}, {then.year} {clock}"


def _ordinal(day: int) -> str:
    return "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")

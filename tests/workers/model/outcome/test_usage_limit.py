"""The text about a used-up account: when it is over, in the user's own time."""

from datetime import UTC, timedelta, timezone

import pytest

from greenroom.workers.model.outcome.error_body import Complaint
from greenroom.workers.model.outcome.usage_limit import usage_limit_text

NOON = 1_795_348_800.0  # 2026-11-22T12:00:00Z
HOUR = 3600.0


@pytest.mark.parametrize(
    ("after", "when"),
    [
        (2 * HOUR, "2:00 PM"),
        (11 * HOUR + 59 * 60, "11:59 PM"),
        (-12 * HOUR, "12:00 AM"),
        (0, "12:00 PM"),
        (12 * HOUR, "Nov 23rd, 2026 12:00 AM"),
        (6 * 24 * HOUR, "Nov 28th, 2026 12:00 PM"),
        (9 * 24 * HOUR, "Dec 1st, 2026 12:00 PM"),
        (19 * 24 * HOUR, "Dec 11th, 2026 12:00 PM"),
        (20 * 24 * HOUR, "Dec 12th, 2026 12:00 PM"),
        (30 * 24 * HOUR, "Dec 22nd, 2026 12:00 PM"),
    ],
)
def test_end_of_the_limit_is_named(after: float, when: str) -> None:
    text = usage_limit_text(Complaint(resets_at=NOON + after), NOON, UTC)
    assert text == f"You've hit your usage limit. Try again at {when}."


def test_time_is_that_of_the_users_zone() -> None:
    zone = timezone(timedelta(hours=9))
    assert usage_limit_text(Complaint(resets_at=NOON), NOON, zone).endswith("at 9:00 PM.")


def test_plan_has_its_hint() -> None:
    assert usage_limit_text(Complaint(plan="plus", resets_at=NOON + 14 * HOUR + 13 * 60), NOON, UTC) == (
        "You've hit your usage limit. Upgrade to Pro (https://chatgpt.com/explore/pro), visit "
        "https://chatgpt.com/codex/settings/usage to purchase more credits or try again at Nov 23rd, 2026 2:13 AM."
    )


def test_unknown_end_is_later() -> None:
    assert usage_limit_text(Complaint(), NOON) == "You've hit your usage limit. Try again later."
    assert usage_limit_text(Complaint(plan="plus"), NOON).endswith("credits or try again later.")

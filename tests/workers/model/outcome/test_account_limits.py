"""What the headers of a response tell of the account's limits."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.outcome.account_limits import account_limits

PRIMARY = {
    "x-codex-primary-used-percent": "12.5",
    "x-codex-primary-window-minutes": "300",
    "x-codex-primary-reset-at": "1795400000",
}


def test_windows_are_read() -> None:
    assert account_limits(PRIMARY) == {
        "limit_id": "codex",
        "limit_name": None,
        "primary": {"used_percent": 12.5, "window_minutes": 300, "resets_at": 1795400000},
        "secondary": None,
        "credits": None,
        "individual_limit": None,
        "spend_control_reached": None,
        "plan_type": None,
        "rate_limit_reached_type": None,
    }


@pytest.mark.parametrize(
    ("headers", "member", "expected"),
    [
        ({"x-codex-secondary-used-percent": "0"}, "secondary", (0.0, None, None)),
        (
            {"x-codex-secondary-used-percent": "7", "x-codex-secondary-window-minutes": "x"},
            "secondary",
            (7, None, None),
        ),
    ],
)
def test_what_is_missing_in_a_window_is_null(
    headers: dict[str, str], member: str, expected: tuple[object, ...]
) -> None:
    limits = account_limits(headers)
    assert limits is not None
    window = limits[member]
    assert isinstance(window, dict)
    assert tuple(window.values()) == expected


def test_credits_and_what_was_reached_are_read() -> None:
    limits = account_limits(
        {
            "x-codex-credits-has-credits": "true",
            "x-codex-credits-unlimited": "False",
            "x-codex-credits-balance": "4.20",
            "x-codex-rate-limit-reached-type": "rate_limit_reached",
            "x-codex-limit-name": "Codex",
        }
    )
    assert limits is not None
    assert limits["credits"] == {"has_credits": True, "unlimited": False, "balance": "4.20"}
    assert (limits["rate_limit_reached_type"], limits["limit_name"]) == ("rate_limit_reached", "Codex")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/event-stream"},
        {"x-codex-primary-used-percent": "nan"},
        {"x-codex-primary-used-percent": "-1"},
        {"x-codex-primary-window-minutes": "300"},
        {"x-codex-credits-has-credits": "true"},
        {"x-codex-rate-limit-reached-type": "bogus"},
    ],
)
def test_without_a_valid_header_nothing_is_told(headers: dict[str, str]) -> None:
    assert account_limits(headers) is None


@given(st.dictionaries(st.sampled_from([*PRIMARY, "x-codex-credits-has-credits"]), st.text()))
def test_whatever_headers_say_only_valid_values_are_told(headers: dict[str, str]) -> None:
    window: Any = (account_limits(headers) or {}).get("primary") or {"used_percent": 0.0}
    assert math.isfinite(window["used_percent"])
    assert all(figure is None or figure >= 0 for figure in window.values())

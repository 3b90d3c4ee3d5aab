"""Times to wait: read from headers and words in every form that servers use, and never anything but a sensible one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.outcome.delay import LONGEST, delay_in_words, duration, limit_reset, retry_after

NOW = 1_795_347_840.0  # 2026-11-22T11:44:00Z


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("2s", 2.0),
        ("20 seconds", 20.0),
        ("Sun, 22 Nov 2026 11:45:30 GMT", 90.0),
        ("Sun, 22 Nov 2026 11:43:00 GMT", 0.0),
        ("2026-11-22T11:45:30Z", 90.0),
        ("soon", None),
        ("-3", None),
        ("1e9", None),
        ("", None),
        ("99999999999", None),
    ],
)
def test_retry_after_is_understood_in_every_form(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}, NOW) == seconds


def test_retry_after_in_milliseconds_wins() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "1"}, NOW) == 0.25
    assert retry_after({}, NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "250ms"}, 1.0),
        (
            {
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-requests": "9",
                "X-RateLimit-Reset-Tokens": "20s",
                "X-RateLimit-Remaining-Tokens": "0",
            },
            20.0,
        ),
        ({"x-ratelimit-reset": "1795347900000"}, 60.0),
        ({"X-RateLimit-Reset": "1795347900"}, 60.0),
        ({"ratelimit-reset": "12"}, 12.0),
        (
            {
                "anthropic-ratelimit-tokens-reset": "2026-11-22T11:44:30Z",
                "anthropic-ratelimit-tokens-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-22T12:44:30Z",
                "anthropic-ratelimit-requests-remaining": "3",
            },
            30.0,
        ),
        ({"x-ratelimit-reset": "whenever", "x-other": "3"}, None),
    ],
)
def test_limit_that_is_used_up_tells_when_it_is_gone(headers: dict[str, str], seconds: float | None) -> None:
    assert limit_reset(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Limit reached. Please try again in 11.054s. Visit …", 11.054),
        ("Please try again in 28ms", 0.028),
        ("Please try again in 28.9ms.", 0.028),
        ("Please TRY AGAIN IN 3 s", 3.0),
        ("Rate limit is exceeded. Try again in 2 seconds.", 2.0),
        ("Please try again in 2 minutes", 120.0),
        ("try again in 1 minute", 60.0),
        ("try again in 1m30s.", 90.0),
        ("try again in 1 minute and 30 seconds", 90.0),
        ("try again in 1h 2m 3s", 3723.0),
        ("try again in 500ms", 0.5),
        ("try again in 500 milliseconds", 0.5),
        ("retry after 20 sec", 20.0),
        ("Please retry after 2.5 s", 2.5),
        ("Please retry in 12.3s.", 12.3),
        ("Please retry your request in 20s", 20.0),
        ("Please wait 30 seconds before trying again", 30.0),
        ("Please wait for about 5 secs", 5.0),
        ("Your limit resets in 2h30m", 9000.0),
        ("try again in an hour", 3600.0),
        ("try again in two seconds", 2.0),
        ("Retry-After: 20", 20.0),
        ("Please try again later", None),
        ("Retry in a few seconds", None),
        ("Retry limit of 5 per 10 s exceeded", None),
        ("Limit 3 per 60 seconds. Please wait.", None),
        ("Try again in 5 attempts", None),
        ("try again in 999999999999 days", None),
        ("The answer took 30 seconds", None),
    ],
)
def test_delay_is_read_from_words(message: str, seconds: float | None) -> None:
    assert delay_in_words(message) == seconds


LEADS = st.sampled_from(["try again in ", "Please retry after ", "Retry in ", "Please wait ", "resets in "])
UNITS = {
    "h": (["h", " hours", " hr"], 3600),
    "m": (["m", " min", " minutes", "mins"], 60),
    "s": (["s", " s", " sec", " seconds"], 1),
}


@given(LEADS, st.dictionaries(st.sampled_from("hms"), st.integers(0, 59), min_size=1), st.data())
def test_every_sum_of_units_is_read(lead: str, parts: dict[str, int], data: st.DataObject) -> None:
    pieces = [f"{parts[unit]}{data.draw(st.sampled_from(UNITS[unit][0]))}" for unit in "hms" if unit in parts]
    joint = data.draw(st.sampled_from([" ", ", ", " and "]))
    expected = sum(count * UNITS[unit][1] for unit, count in parts.items())
    assert delay_in_words(f"Slow down: {lead}{joint.join(pieces)}. Thanks") == expected
    assert duration(joint.join(pieces)) == expected


@given(st.text(max_size=40))
def test_no_header_or_message_breaks_the_reader_and_no_wait_is_without_bounds(text: str) -> None:
    found = (
        retry_after({"retry-after": text, "retry-after-ms": text}, NOW),
        limit_reset({"x-ratelimit-reset-tokens": text}, NOW),
        delay_in_words("try again in " + text),
        delay_in_words(text),
        duration(text),
    )
    assert all(seconds is None or 0 <= seconds <= LONGEST for seconds in found)

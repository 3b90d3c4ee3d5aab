"""Retries: as many as the limits say, as late as the server asks, and announced where the stream starts over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.model.outcome.attempt import (
    AttemptResult,
    CredentialDelayed,
    HttpRefused,
    StreamBroken,
    Unreachable,
)
from greenroom.workers.model.outcome.retry import (
    BACKOFF_CAP_MS,
    LONGEST_WAIT,
    GiveUp,
    Retry,
    RetryDecision,
    RetryLimits,
    RetryPolicy,
    backoff_ms,
    delay_text,
)

REFUSED = HttpRefused(400, {})
BUSY = HttpRefused(503, {})
OVERLOADED = HttpRefused(503, {}, b'{"error":{"code":"slow_down"}}')
CUT = StreamBroken("cut")
NO_CONNECTION = Unreachable("connection refused")
OUTCOMES = st.sampled_from([REFUSED, BUSY, OVERLOADED, CUT, NO_CONNECTION])


def policy(request: int = 4, stream: int = 5, random: float = 0.5) -> RetryPolicy:
    return RetryPolicy(RetryLimits(request, stream), random=lambda: random, clock=lambda: 0.0)


def decisions(outcome: AttemptResult, rules: RetryPolicy) -> list[RetryDecision]:
    """Repeat one outcome until the policy gives up."""
    made = [rules.decide(outcome)]
    while isinstance(made[-1], Retry):
        made.append(rules.decide(outcome))
    return made


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [(REFUSED, 1), (CUT, 4), (OVERLOADED, 3), (BUSY, 12), (NO_CONNECTION, 12), (HttpRefused(401, {}), 1)],
)
def test_attempts_are_as_many_as_the_limits_allow(outcome: AttemptResult, attempts: int) -> None:
    assert len(decisions(outcome, policy(request=2, stream=3))) == attempts


@given(st.lists(OUTCOMES, min_size=1, max_size=60), st.integers(0, 5), st.integers(0, 5))
def test_no_mixture_of_outcomes_exceeds_the_limits(outcomes: list[AttemptResult], request: int, stream: int) -> None:
    rules = policy(request, stream)
    made: list[RetryDecision] = []
    for outcome in outcomes:
        made.append(rules.decide(outcome))
        if isinstance(made[-1], GiveUp):
            break
    announced = [decision for decision in made if isinstance(decision, Retry) and decision.announce]
    assert len(announced) <= stream
    assert len(made) <= (request + 1) * (stream + 1)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_backoff_doubles_within_a_tenth_and_is_capped(count: int, random: float) -> None:
    plain = 200 * 2 ** (count - 1)
    delay = backoff_ms(count, random)
    assert min(int(plain * 0.9), BACKOFF_CAP_MS) <= delay <= min(plain * 1.1, BACKOFF_CAP_MS)


def test_delays_grow_at_each_level_on_their_own() -> None:
    made = decisions(BUSY, policy(request=2, stream=2))
    delays = [decision.after_seconds for decision in made if isinstance(decision, Retry)]
    assert delays == [0.2, 0.4, 0.2, 0.2, 0.4, 0.4, 0.2, 0.4]


def test_only_a_new_stream_is_announced() -> None:
    made = decisions(BUSY, policy(request=1, stream=1))
    assert [decision.announce for decision in made if isinstance(decision, Retry)] == [False, True, False]


def test_announcement_says_what_went_wrong_and_when_it_goes_on() -> None:
    decision = policy().decide(CUT)
    assert isinstance(decision, Retry)
    assert decision.text == "stream error: stream disconnected before completion: cut; retrying 1/5 in 200ms…"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (212, "212ms"), (999, "999ms"), (1000, "1s"), (1653, "1.653s"), (1500, "1.5s"), (60_000, "60s")],
)
def test_delays_are_written_briefly(milliseconds: int, text: str) -> None:
    assert delay_text(milliseconds) == text


def test_delay_of_the_server_is_kept_to() -> None:
    decision = policy().decide(HttpRefused(500, {"Retry-After": "7"}))
    assert decision == Retry(7.0, announce=False, text=decision.text if isinstance(decision, Retry) else "")


def test_server_that_asks_for_too_much_is_not_waited_for() -> None:
    assert isinstance(policy().decide(HttpRefused(500, {"Retry-After": str(int(LONGEST_WAIT))})), Retry)
    assert isinstance(policy().decide(HttpRefused(500, {"Retry-After": str(int(LONGEST_WAIT) + 1)})), GiveUp)


def test_two_recoveries_are_allowed() -> None:
    rules = policy()
    assert [rules.may_recover() for _ in range(4)] == [True, True, False, False]


def test_credentials_are_waited_for_as_streams_are() -> None:
    assert len(decisions(CredentialDelayed("busy", 0.5), policy(stream=3))) == 4


def test_rejected_credentials_are_waited_for_once() -> None:
    made = decisions(CredentialDelayed("busy", 0.5, after_rejection=True), policy())
    assert [type(decision) for decision in made] == [Retry, GiveUp]


LIMITED = [
    (HttpRefused(429, {}), 0.2),
    (HttpRefused(429, {"retry-after": "7"}), 7.0),
    (HttpRefused(429, {"retry-after": "0"}), 0.2),
    (HttpRefused(429, {}, b'{"error":{"message":"Please try again in 1.5s"}}'), 1.5),
    (HttpRefused(503, {"retry-after": "7"}), 7.0),
    (HttpRefused(529, {}), 0.2),
    (StreamBroken("Please try again in 3s", "rate_limit_exceeded"), 3.0),
]


@pytest.mark.parametrize(("outcome", "wait"), LIMITED)
def test_a_rate_limit_is_waited_out_whatever_the_numbers_of_retries_are(outcome: AttemptResult, wait: float) -> None:
    rules = policy(request=0, stream=0)
    first = rules.decide(outcome)
    assert isinstance(first, Retry)
    assert (first.after_seconds, first.announce, first.is_paced) == (wait, True, True)
    assert "for the rate limit" in first.text
    waits = [again.after_seconds for _ in range(30) if isinstance(again := rules.decide(outcome), Retry)]
    assert len(waits) == 30
    assert max(waits) <= 60.0
    assert sum(waits) > 5.0, "a server that goes on refusing is not asked at full speed"


@pytest.mark.parametrize("code", ["insufficient_quota", "usage_not_included", "usage_limit_reached"])
def test_a_spent_account_is_not_waited_for(code: str) -> None:
    body = b'{"error":{"type":"%b","message":"no"}}' % code.encode()
    assert isinstance(policy().decide(HttpRefused(429, {"retry-after": "1"}, body)), GiveUp)

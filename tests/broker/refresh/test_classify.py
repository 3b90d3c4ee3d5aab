"""What an answer of the token endpoint means is a table, and its texts are the later reference's (K23, scenario 32)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.refresh.classify import (
    REASONS,
    TEXTS,
    Class,
    Judge,
    Refused,
    Unanswered,
    Unreached,
    classify,
    failure,
)


@pytest.mark.parametrize("code", sorted(REASONS))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_known_codes_are_permanent_with_any_4xx(code: str, status: int) -> None:
    assert classify(Refused(status, code)) is Class.PERMANENT
    assert failure(Refused(status, code), "mark").user_text == TEXTS[REASONS[code]]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Refused(401), Class.PERMANENT),
        (Refused(400), Class.STRIKE),
        (Refused(403, "odd"), Class.STRIKE),
        (Refused(404), Class.STRIKE),
        (Refused(408, "invalid_grant"), Class.TRANSIENT),
        (Refused(425), Class.TRANSIENT),
        (Refused(429), Class.TRANSIENT),
        (Refused(500, "invalid_grant"), Class.TRANSIENT),
        (Refused(503), Class.TRANSIENT),
        (Refused(307), Class.TRANSIENT),
        (Unreached("ClientConnectorError"), Class.TRANSIENT),
        (Unanswered("ServerDisconnectedError"), Class.AMBIGUOUS),
    ],
)
def test_classes(answer: Refused | Unreached | Unanswered, expected: Class) -> None:
    assert classify(answer) is expected


def test_an_unknown_code_has_the_general_text() -> None:
    assert failure(Refused(401, "odd"), "mark").reason == "other"


def test_strikes_count_for_one_token_and_one_answer() -> None:
    judge = Judge()
    verdicts = [judge.verdict(Refused(400, "odd"), mark) for mark in ("a", "a", "b", "a", "a")]
    assert verdicts == [Class.TRANSIENT] * 5
    assert judge.verdict(Refused(400, "other"), "a") is Class.TRANSIENT
    assert [judge.verdict(Refused(400, "odd"), "a") for _ in range(3)][-1] is Class.PERMANENT


@given(st.integers(100, 599), st.none() | st.text())
def test_a_judge_never_leaves_a_strike_open(status: int, code: str | None) -> None:
    assert Judge().verdict(Refused(status, code), "a") is not Class.STRIKE


def test_an_answer_does_not_show_tokens() -> None:
    assert "message" in repr(Refused(400, "odd", "what the issuer says"))

"""What an answer of the token endpoint means is a table, and its texts are the later reference's (K23, scenario 32)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.token_issuer.classify import (
    REASONS,
    TEXTS,
    AnswerClass,
    RefreshRefused,
    ResponseClassifier,
    Unanswered,
    Unreached,
    classify_answer,
    failure,
)


@pytest.mark.parametrize("code", sorted(REASONS))
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_known_codes_are_permanent_with_any_4xx(code: str, status: int) -> None:
    assert classify_answer(RefreshRefused(status, code)) is AnswerClass.PERMANENT
    assert failure(RefreshRefused(status, code), "mark").user_text == TEXTS[REASONS[code]]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RefreshRefused(401), AnswerClass.PERMANENT),
        (RefreshRefused(400), AnswerClass.STRIKE),
        (RefreshRefused(403, "odd"), AnswerClass.STRIKE),
        (RefreshRefused(404), AnswerClass.STRIKE),
        (RefreshRefused(408, "invalid_grant"), AnswerClass.TRANSIENT),
        (RefreshRefused(425), AnswerClass.TRANSIENT),
        (RefreshRefused(429), AnswerClass.TRANSIENT),
        (RefreshRefused(500, "invalid_grant"), AnswerClass.TRANSIENT),
        (RefreshRefused(503), AnswerClass.TRANSIENT),
        (RefreshRefused(307), AnswerClass.TRANSIENT),
        (Unreached("ClientConnectorError"), AnswerClass.TRANSIENT),
        (Unanswered("ServerDisconnectedError"), AnswerClass.AMBIGUOUS),
    ],
)
def test_classes(answer: RefreshRefused | Unreached | Unanswered, expected: AnswerClass) -> None:
    assert classify_answer(answer) is expected


def test_an_unknown_code_has_the_general_text() -> None:
    assert failure(RefreshRefused(401, "odd"), "mark").reason == "other"


def test_strikes_count_for_one_token_and_one_answer() -> None:
    judge = ResponseClassifier()
    verdicts = [judge.verdict(RefreshRefused(400, "odd"), mark) for mark in ("a", "a", "b", "a", "a")]
    assert verdicts == [AnswerClass.TRANSIENT] * 5
    assert judge.verdict(RefreshRefused(400, "other"), "a") is AnswerClass.TRANSIENT
    assert [judge.verdict(RefreshRefused(400, "odd"), "a") for _ in range(3)][-1] is AnswerClass.PERMANENT


@given(st.integers(100, 599), st.none() | st.text())
def test_a_judge_never_leaves_a_strike_open(status: int, code: str | None) -> None:
    assert ResponseClassifier().verdict(RefreshRefused(status, code), "a") is not AnswerClass.STRIKE


def test_an_answer_does_not_show_tokens() -> None:
    assert "message" in repr(RefreshRefused(400, "odd", "what the issuer says"))

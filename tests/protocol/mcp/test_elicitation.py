"""Only what says yes is a yes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.approval import DENIED, Decision
from greenroom.protocol.mcp.elicitation import MAX_CONTENT, mode_of, read_decision


def test_a_question_shows_a_form_unless_it_says_otherwise() -> None:
    assert mode_of(b'{"message":"\\"mode\\":\\"url\\"","requestedSchema":{"mode":"url"}}') == "form"
    assert mode_of(b'{"mode":"url","url":"https://docs.test"}') == "url"


TABLE: list[tuple[object, Decision]] = [
    ({"decision": "approved"}, Decision(verdict="approved")),
    ({"decision": "approved_for_session"}, Decision(verdict="approved_for_session")),
    ({"decision": "approved_execpolicy_amendment"}, Decision(verdict="approved_for_session")),
    ({"decision": "denied"}, DENIED),
    ({"decision": "timed_out"}, DENIED),
    ({"decision": "abort"}, Decision(verdict="abort")),
    ({"decision": {"denied": {"rejection": "use make"}}}, Decision(verdict="denied", reason="use make")),
    ({"decision": {"denied": {}}}, DENIED),
    ({"decision": {"denied": None}}, DENIED),
    ({"decision": {"denied": {"rejection": 5}}}, DENIED),
    (
        {"decision": {"approved_execpolicy_amendment": {"proposed_execpolicy_amendment": ["git", "pull"]}}},
        Decision(verdict="approved_for_session"),
    ),
    ({"decision": {"network_policy_amendment": {"network_policy_amendment": {}}}}, DENIED),
    ({"action": "accept", "content": {"decision": "approved_for_session"}}, Decision(verdict="approved_for_session")),
    ({"action": "accept", "content": {"decision": "abort"}}, Decision(verdict="abort")),
    ({"action": "decline", "decision": "approved"}, Decision(verdict="approved")),
    ({"action": "accept", "decision": "denied"}, DENIED),
    ({"action": "accept", "decision": "denied", "content": {"decision": "approved"}}, DENIED),
    ({"action": "accept"}, Decision(verdict="approved")),
    ({"action": "accept", "content": {}}, Decision(verdict="approved")),
    ({"action": "accept", "content": None}, Decision(verdict="approved")),
    ({"action": "accept", "content": {"decision": "perhaps"}}, Decision(verdict="approved")),
    ({"action": "decline"}, DENIED),
    ({"action": "cancel"}, DENIED),
    ({"action": "decline", "content": {}}, DENIED),
    ({"action": "Accept"}, DENIED),
    ({"action": True}, DENIED),
    ({"action": ["accept"]}, DENIED),
    ({"decision": "Approved"}, DENIED),
    ({"decision": ["approved"]}, DENIED),
    ({"decision": {"approved": {}, "denied": {}}}, DENIED),
    ({"decision": {}}, DENIED),
    ({"decision": True}, DENIED),
    ({"content": "approved"}, DENIED),
    ({}, DENIED),
    ([], DENIED),
    (["approved"], DENIED),
    ("approved", DENIED),
    (True, DENIED),
    (None, DENIED),
]
YES_WORDS = {"approved", "approved_for_session", "approved_execpolicy_amendment"}
NO_WORDS = {"denied", "timed_out", "abort"}
ACTIONS = {"accept", "decline", "cancel"}


@pytest.mark.parametrize(("answer", "decision"), TABLE, ids=lambda value: json.dumps(value, default=str))
def test_answers_mean_what_the_rule_says(answer: object, decision: Decision) -> None:
    read = read_decision(json.dumps(answer).encode())
    assert (read.verdict, read.reason) == (decision.verdict, decision.reason)


@pytest.mark.parametrize(
    ("answer", "action", "content"),
    [
        (
            {"action": "accept", "content": {"name": "Ada", "decision": "denied"}},
            "accept",
            b'{"name":"Ada","decision":"denied"}',
        ),
        ({"action": "accept"}, "accept", b"{}"),
        ({"action": "accept", "content": "Ada"}, "accept", b"{}"),
        ({"action": "decline", "content": {"name": "Ada"}}, "decline", None),
        ({"action": "cancel"}, "cancel", None),
        ({"action": "maybe", "content": {"name": "Ada"}}, None, None),
        ({"decision": "approved"}, None, None),
    ],
)
def test_the_standard_answer_is_handed_on_beside_its_meaning(
    answer: object, action: str | None, content: bytes | None
) -> None:
    read = read_decision(json.dumps(answer).encode())
    assert (read.action, read.content) == (action, content)


def test_a_consent_may_be_given_for_longer_than_the_call() -> None:
    assert read_decision(b'{"action":"accept","_meta":{"persist":"session"}}').verdict == "approved_for_session"
    assert read_decision(b'{"action":"accept","_meta":{"persist":"soon"}}').verdict == "approved"
    assert read_decision(b'{"action":"decline","_meta":{"persist":"session"}}').verdict == "denied"


def test_a_form_that_is_filled_in_without_end_is_a_no() -> None:
    answer = {"action": "accept", "content": {"name": "x" * MAX_CONTENT}}
    assert read_decision(json.dumps(answer).encode()) == Decision(
        verdict="denied", reason=f"the answer has more than {MAX_CONTENT} bytes"
    )


def test_an_error_is_a_no_with_a_reason() -> None:
    assert read_decision(None) == Decision(verdict="denied", reason="the client could not ask the user")


def named(given_value: object) -> str | None:
    """Return the known word that a decision is, or consists of."""
    word = next(iter(given_value)) if isinstance(given_value, dict) and len(given_value) == 1 else given_value
    return word if isinstance(word, str) and word in YES_WORDS | NO_WORDS else None


def says_yes(answer: object) -> bool:
    """Apply the acceptance rule as a list of cases, of which the first that matches wins."""
    if not isinstance(answer, dict):
        return False
    content = answer.get("content")
    inner = content.get("decision") if isinstance(content, dict) else None
    word = named(answer.get("decision")) or named(inner)
    return word in YES_WORDS if word is not None else answer.get("action") == "accept"


WORDS = st.sampled_from(sorted(YES_WORDS | NO_WORDS | ACTIONS))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | WORDS
JSON: st.SearchStrategy[object] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text() | WORDS | st.sampled_from(["decision", "action", "content"]), inner, max_size=3)
    ),
    max_leaves=12,
)
CHOICES = JSON | WORDS | st.dictionaries(WORDS, JSON, max_size=2)
ANSWERS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "decision": CHOICES,
        "action": CHOICES,
        "content": CHOICES | st.fixed_dictionaries({"decision": CHOICES}),
    },
)


@given(ANSWERS)
def test_no_answer_is_a_yes_unless_the_rule_says_so(answer: object) -> None:
    decision = read_decision(json.dumps(answer).encode())
    assert decision.verdict.startswith("approved") == says_yes(answer)


@given(st.binary() | ANSWERS.map(lambda answer: json.dumps(answer).encode()[:-1]))
def test_what_is_no_json_never_raises_and_never_approves(result: bytes) -> None:
    try:
        json.loads(result)
    except (ValueError, RecursionError):
        assert read_decision(result) == DENIED
    else:
        assert read_decision(result).verdict in ("denied", "approved", "approved_for_session", "abort")


@pytest.mark.parametrize(
    "result",
    [
        b"",
        b"[" * 100_000,
        b'{"decision":' * 100_000,
        b'{"decision":"approved"',
        b'{"decision":"approved"}}',
        b'{"decision":"\\ud800"}',
        b'{"decision":"\xff"}',
        b'{"decision":1e999}',
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_cannot_be_read_is_a_no(result: bytes) -> None:
    assert read_decision(result) == DENIED

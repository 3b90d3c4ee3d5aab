"""Messages of the auth broker come out as they went in, show no secret, and are shared out between the keys."""

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.internal.broker.answers import ANSWERS, LoginStarted, broker_frames, read_broker_answer
from greenroom.protocol.internal.broker.broadcasts import BROADCASTS, broadcast_frames, read_broadcast
from greenroom.protocol.internal.broker.questions import (
    QUESTIONS,
    SUPERVISOR_MAY,
    WORKER_MAY,
    GetAuth,
    LoginApiKey,
    read_question,
)
from greenroom.protocol.message import Message
from tests.protocol.headers import instances

SECRET = "do-not-repeat-me"
SECRET_FIELDS = {"token", "api_key", "values", "url"}
ALL = {**QUESTIONS, **ANSWERS, **BROADCASTS}

questions = st.sampled_from(sorted(QUESTIONS)).flatmap(lambda wire: instances(QUESTIONS[wire]))
answers = st.sampled_from(sorted(ANSWERS)).flatmap(lambda wire: instances(ANSWERS[wire]))
broadcasts = st.sampled_from(sorted(BROADCASTS)).flatmap(lambda wire: instances(BROADCASTS[wire]))


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first of a kind is slow: its strategy is built
@given(st.binary(max_size=12), questions)
def test_questions_come_out_as_they_went_in(message_id: bytes, question: Message) -> None:
    assert read_question(broker_frames(message_id, question)) == (message_id, question)  # type: ignore[arg-type]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=12), answers)
def test_answers_come_out_as_they_went_in(message_id: bytes, answer: Message) -> None:
    assert read_broker_answer(broker_frames(message_id, answer)) == (message_id, answer)  # type: ignore[arg-type]


@given(broadcasts)
def test_broadcasts_come_out_as_they_went_in(broadcast: Message) -> None:
    assert read_broadcast(broadcast_frames(broadcast)) == broadcast  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_any_frames_are_a_message_or_a_violation(parts: list[bytes]) -> None:
    for read in (read_question, read_broker_answer, read_broadcast):
        with pytest.raises(RemoteProtocolError):
            read(parts)


def test_every_question_belongs_to_one_kind_of_key() -> None:
    assert set(QUESTIONS) == WORKER_MAY | SUPERVISOR_MAY
    assert not WORKER_MAY & SUPERVISOR_MAY


def test_all_kinds_have_names_of_their_own() -> None:
    assert len(ALL) == len(QUESTIONS) + len(ANSWERS) + len(BROADCASTS)


@pytest.mark.parametrize("kind", ALL.values(), ids=lambda kind: kind.__name__)
def test_no_secret_is_shown(kind: type[Message]) -> None:
    assert kind.withheld >= SECRET_FIELDS & set(kind.__struct_fields__)


def test_secrets_are_not_in_the_text_of_a_message() -> None:
    assert SECRET not in repr(LoginApiKey(api_key=SECRET))
    assert SECRET not in str(LoginStarted(login_id="x", url=SECRET))


def test_a_violation_does_not_repeat_the_data() -> None:
    for header in ({"api_key": [SECRET]}, {"api_key": SECRET, SECRET: 1}, SECRET, {SECRET: SECRET}):
        with pytest.raises(RemoteProtocolError) as caught:
            read_question([LoginApiKey.wire, b"id", msgpack.packb(header)])
        assert caught.value.__cause__ is None
        if not (isinstance(header, dict) and SECRET in header):
            assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("deadline", [0, -1, 60_001])
def test_nobody_waits_for_ever(deadline: int) -> None:
    with pytest.raises(RemoteProtocolError, match="deadline_ms"):
        read_question([GetAuth.wire, b"id", msgpack.packb({"deadline_ms": deadline})])

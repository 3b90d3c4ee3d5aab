"""A question arrives as it was sent, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.protocol.approval import (
    AnyQuestion,
    CommandQuestion,
    FormQuestion,
    PatchQuestion,
    ToolQuestion,
    UrlQuestion,
    decode_question,
    encode_question,
)
from greenroom.protocol.errors import RemoteProtocolError
from greenroom.protocol.events.command import UnknownCommand
from greenroom.protocol.events.file_change import AddedFile, UpdatedFile

QUESTIONS: list[AnyQuestion] = [
    CommandQuestion(call_id="c", command=["x"], shell_text="x", cwd="/", parts=[UnknownCommand("x")], reason="why"),
    PatchQuestion(call_id="c", changes={"/a": AddedFile("a"), "/b": UpdatedFile("@@", None)}),
    ToolQuestion(call_id="c", server="s", tool="t", description="d", arguments={"a": [1.0, None, 2**70]}),
    FormQuestion(server="s", message="m", form={"type": "object"}),
    UrlQuestion(server="s", message="m", url="https://x.test", elicitation_id="e"),
]


@given(st.sampled_from(QUESTIONS), st.integers(0, 200), st.binary(max_size=3))
def test_a_mutilated_question_is_another_question_or_none(question: AnyQuestion, at: int, more: bytes) -> None:
    sent = encode_question(question)
    payload = sent[:at] + more + sent[at + len(more) :]
    try:
        arrived = decode_question(payload)
    except RemoteProtocolError:
        assert payload != sent
        return
    assert decode_question(encode_question(arrived)) == arrived
    assert arrived == question or payload != sent


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b'{"kind":"patch","call_id":"c"}', "a question does not fit at changes"),
        (b'{"kind":"patch","call_id":5,"changes":{}}', "a question does not fit at call_id"),
        (
            b'{"kind":"patch","call_id":"c","changes":{},"x":1}',
            "a question does not fit at a member that is not known",
        ),
        (b'{"kind":"wish"}', "a question does not fit at kind"),
        (b'{"message":"May I?"}', "a question does not fit at kind"),
        (b"{", "a question is no JSON: DecodeError"),
        (b'"\xff"', "a question does not fit at its form"),
        (b'{"kind":"\xff"}', "a question is no JSON: UnicodeDecodeError"),
    ],
)
def test_what_is_no_question_is_refused_without_being_repeated(payload: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        decode_question(payload)
    assert str(refused.value) == text

"""The light client finds answers and counts streamed characters however the pipe cuts the lines."""

import os
import sys

import pytest

from benchmarks.client import Client, SubjectError
from benchmarks.subject import Subject

LINES = (
    '{"jsonrpc":"2.0","method":"codex/event","params":{"_meta":{"requestId":1},"id":"1","msg":'
    '{"type":"agent_message_delta","delta":"a"}}}',
    '{"jsonrpc":"2.0","method":"codex/event","params":{"_meta":{"requestId":1},"id":"1","msg":'
    '{"type":"agent_message_content_delta","thread_id":"t","delta":"a"}}}',
    '{"jsonrpc":"2.0","method":"codex/event","params":{"_meta":{"requestId":1},"id":"1","msg":'
    '{"type":"agent_message_content_delta","thread_id":"t","delta":"b \\"\\u00e9é"}}}',
    '{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"result":1}}',
    '{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"threadId":"t1","content":"ab"}}}',
)


def program(text: str, piece: int) -> str:
    return (
        f"import os, sys; sys.stdin.readline(); data = {text!r}.encode()\n"
        f"for at in range(0, len(data), {piece}): os.write(1, data[at:at + {piece}])\n"
        "sys.stdin.read()"
    )


def client(tmp_path: os.PathLike[str], source: str) -> Client:
    return Client(Subject("fake", (sys.executable, "-I", "-c", source)), str(tmp_path), str(tmp_path))


@pytest.mark.parametrize("piece", [1, 7, 100, 100_000])
def test_an_answer_and_the_deltas_before_it_are_found(tmp_path: os.PathLike[str], piece: int) -> None:
    with client(tmp_path, program("\n".join(LINES) + "\n", piece)) as started:
        answer, thread = started.succeed(started.begin("hi"), timeout_s=10)
        assert thread == "t1"
        assert answer.line.decode() == LINES[-1]
        assert started.streamed == len('ab "éé')
        assert started.started < started.last_delta <= answer.at


def test_a_program_that_ends_is_reported_with_what_it_said(tmp_path: os.PathLike[str]) -> None:
    source = "import sys; sys.stdin.readline(); sys.exit('out of luck')"
    with client(tmp_path, source) as started, pytest.raises(SubjectError, match="out of luck"):
        started.wait(started.begin("hi"), timeout_s=10)


def test_an_error_is_no_success(tmp_path: os.PathLike[str]) -> None:
    text = '{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}\n'
    with client(tmp_path, program(text, 100)) as started, pytest.raises(SubjectError, match="answered with"):
        started.succeed(started.begin("hi"), timeout_s=10)

"""What happens before there is a loop: the real descriptors are moved away, and the first words are answered."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from greenroom.supervisor.frontend.descriptors import READ_SIZE, Descriptors
from greenroom.supervisor.startup.early_handshake import HandshakeBuffer

CLAIM = """\
import os, sys, subprocess, json
from greenroom.supervisor.frontend.descriptors import take_over_stdio
ends = take_over_stdio()
print("noise of ours")
os.write(1, b"straight noise\\n")
subprocess.run(["echo", "noise of a child"])
sys.stdout.flush()
facts = {
    "input": ends.input, "output": ends.output, "rest": os.read(0, 10).decode(),
    "blocking": [os.get_blocking(end) for end in ends], "inherited": [os.get_inheritable(end) for end in ends],
    "said": os.read(ends.input, 100).decode(),
}
os.set_blocking(ends.output, True)
os.write(ends.output, json.dumps(facts).encode())
"""


@pytest.fixture
def ends() -> Iterator[tuple[HandshakeBuffer, int, int]]:
    """A doorstep, and the client's ends of its pipes."""
    theirs, to_server = os.pipe()
    from_server, ours = os.pipe()
    for descriptor in (theirs, ours, from_server):
        os.set_blocking(descriptor, False)
    yield HandshakeBuffer(Descriptors(theirs, ours)), to_server, from_server
    for descriptor in (theirs, ours, to_server, from_server):
        with suppress(OSError):
            os.close(descriptor)


def test_standard_output_cannot_be_reached_by_libraries_and_children() -> None:
    done = subprocess.run([sys.executable, "-c", CLAIM], input=b"hello", capture_output=True, timeout=20, check=True)
    facts = json.loads(done.stdout)
    assert facts["input"] > 2
    assert facts["output"] > 2
    assert facts["blocking"] == [False, False]
    assert facts["inherited"] == [False, False]
    assert facts["rest"] == "", "descriptor 0 reads nothing"
    assert facts["said"] == "hello"
    noise = done.stderr.decode()
    assert all(words in noise for words in ("noise of ours", "straight noise", "noise of a child"))


def test_what_waits_in_the_pipe_is_answered(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, to_server, from_server = ends
    os.write(to_server, b"first words")
    heard: list[bytes] = []

    def receive(data: bytes) -> None:
        heard.append(data)
        buffer.write(b"answer 1\n")
        buffer.write(b"answer 2\n")

    buffer.answer_waiting(receive)
    assert heard == [b"first words"]
    assert os.read(from_server, 100) == b"answer 1\nanswer 2\n"
    assert buffer.take_unsent() == b""


def test_nobody_is_waited_for(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, _, from_server = ends
    begin = time.monotonic()
    buffer.answer_waiting(lambda _: pytest.fail("there was nothing to hear"))
    assert time.monotonic() - begin < 0.5
    with pytest.raises(BlockingIOError):
        os.read(from_server, 1)


def test_an_end_of_input_is_left_for_the_transport(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, to_server, _ = ends
    os.close(to_server)
    buffer.answer_waiting(lambda _: pytest.fail("there was nothing to hear"))


def test_what_the_client_does_not_take_is_kept(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, to_server, from_server = ends
    os.write(to_server, b"x")
    long = b"a" * 3_000_000
    buffer.answer_waiting(lambda _: buffer.write(long))
    taken = bytearray()
    with suppress(BlockingIOError):
        while True:
            taken += os.read(from_server, 65_536)
    assert 0 < len(taken) < len(long)
    assert bytes(taken) + buffer.take_unsent() == long


def test_a_client_that_has_gone_already_is_no_error(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, to_server, from_server = ends
    os.write(to_server, b"x")
    os.close(from_server)
    buffer.answer_waiting(lambda _: buffer.write(b"answer\n"))
    assert buffer.take_unsent() == b"answer\n"


def test_a_long_message_is_taken_in_part(ends: tuple[HandshakeBuffer, int, int]) -> None:
    buffer, to_server, _ = ends
    os.set_blocking(to_server, False)
    written = 0
    with suppress(BlockingIOError):
        while written < 2 * READ_SIZE:
            written += os.write(to_server, b"x" * 65_536)
    heard: list[bytes] = []
    buffer.answer_waiting(heard.append)
    assert len(heard) == 1
    assert 0 < len(heard[0]) <= READ_SIZE

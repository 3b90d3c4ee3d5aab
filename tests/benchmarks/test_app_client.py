"""The client of `app-server` opens threads, and finds the ends of their turns however the pipe cuts the lines."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks.app_client import AppClient
from benchmarks.client import SubjectError
from benchmarks.subject import Subject

PROGRAM = """
import json, os, sys
def tell(message, piece={piece}):
    data = json.dumps(message, separators=(",", ":")).encode() + b"\\n"
    for at in range(0, len(data), piece):
        os.write(1, data[at:at + piece])
for line in sys.stdin:
    message = json.loads(line)
    assert "jsonrpc" not in message
    method = message["method"]
    if method == "initialize":
        tell({{"id": message["id"], "result": {{"userAgent": "x"}}}})
    if method == "thread/start":
        tell({{"method": "thread/started", "params": {{"thread": {{"id": "t"}}}}}})
        tell({{"id": message["id"], "result": {{"thread": {{"id": "t"}}, "model": "m"}}}})
    if method == "turn/start":
        tell({{"id": message["id"], "result": {{"turn": {{"id": "u"}}}}}})
        tell({{"method": "turn/started", "params": {{"threadId": "t", "turn": {{"id": "u", "status": "inProgress"}}}}}})
        turn = {{"id": "u", "items": [], "status": {status!r}}}
        tell({{"method": "turn/completed", "params": {{"threadId": "t", "turn": turn}}, "emittedAtMs": 1}})
"""


def client(tmp_path: Path, piece: int = 100_000, status: str = "completed") -> AppClient:
    source = PROGRAM.format(piece=piece, status=status)
    subject = Subject("fake", (sys.executable, "-I", "-c", source), speaks_app_server=True)
    return AppClient(subject, str(tmp_path), str(tmp_path))


@pytest.mark.parametrize("piece", [7, 100_000])
def test_a_turn_of_a_thread_ends(tmp_path: Path, piece: int) -> None:
    with client(tmp_path, piece) as started:
        assert started.initialize().at > started.started
        thread = started.open()
        assert thread == "t"
        first = started.turn(thread, "hi", timeout_s=10)
        assert started.turn(thread, "hi", timeout_s=10) > first


def test_ends_of_turns_are_read_as_they_come(tmp_path: Path) -> None:
    with client(tmp_path) as started:
        started.initialize()
        thread = started.open()
        started.say(thread, "hi")
        ended: dict[str, float] = {}
        while not ended:
            ended = started.read()
        assert list(ended) == [thread]
        assert os.fstat(started.output)


def test_a_turn_that_fails_is_a_failure(tmp_path: Path) -> None:
    with client(tmp_path, status="failed") as started:
        started.initialize()
        with pytest.raises(SubjectError, match="ended a turn as failed"):
            started.turn(started.open(), "hi", timeout_s=10)

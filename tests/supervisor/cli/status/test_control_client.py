"""Instances are asked side by side, and one that does not answer costs no more than its time."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.supervisor.cli.status.control_client import ask
from greenroom.supervisor.control.control_messages import ActionDone, GiveReport, StopInstance, control_line
from tests.supervisor.cli.status.stand_in import Part
from tests.supervisor.cli.status.stand_ins import House


@contextlib.contextmanager
def answering(path: Path, *pieces: bytes) -> Iterator[str]:
    """Answer one question with these pieces."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as connection:
                for piece in (*pieces, b""):
                    connection.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(path)
        thread.join()


def test_each_is_heard_as_it_is(house: House, tmp_path: Path) -> None:
    silent, mute, deaf = house.engage(), house.engage(Part(manner="mute")), house.engage(Part(manner="deaf"))
    well = house.engage()
    silent.stop()
    missing = str(tmp_path / "missing")
    begun = time.monotonic()
    heard = ask([silent.control, mute.control, deaf.control, well.control, missing], GiveReport(), timeout_s=1.0)
    assert 1.0 <= time.monotonic() - begun < 4.0, "all are waited for at once"
    outcomes = [heard[one.control].outcome for one in (silent, mute, deaf, well)]
    assert outcomes == ["silent", "silent", "shut", "answered"]
    assert heard[missing].outcome == "shut"
    assert heard[well.control].seconds < 1.0 <= heard[silent.control].seconds


def test_an_answer_in_many_pieces_is_put_together(tmp_path: Path) -> None:
    answer = control_line(ActionDone("x" * 1_000_000))
    with answering(tmp_path / "s", *(answer[start : start + 9999] for start in range(0, len(answer), 9999))) as path:
        assert ask([path], StopInstance(), 10)[path].reply == ActionDone("x" * 1_000_000)


@pytest.mark.parametrize("answer", [b"hello\n", b'{"answer":"maybe"}\n', b"\xff", b"{"])
def test_what_is_no_answer_is_garbled(tmp_path: Path, answer: bytes) -> None:
    with answering(tmp_path / "s", answer) as path:
        assert ask([path], GiveReport(), 10)[path].outcome == "garbled"


def test_who_hangs_up_is_shut(tmp_path: Path) -> None:
    with answering(tmp_path / "s") as path:
        assert ask([path], GiveReport(), 10)[path].outcome == "shut"


def test_nobody_is_asked_where_nobody_is() -> None:
    assert ask([], GiveReport()) == {}


def test_nothing_stays_open(house: House) -> None:
    silent = house.engage()
    silent.stop()
    before = os.listdir("/proc/self/fd")
    ask([silent.control], GiveReport(), 0.01)
    assert len(os.listdir("/proc/self/fd")) == len(before)

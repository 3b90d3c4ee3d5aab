"""A client of `app-server` with minimal cost, of Greenroom or of the reference."""

import time
from typing import Final

import msgspec

from benchmarks.client import TIMEOUT, Answer, Client

_COMPLETED: Final = b'"method":"turn/completed"'
_HEAD: Final = 80
"""Bytes at the beginning of a line in which its method is."""


class _Thread(msgspec.Struct):
    id: str


class _Begun(msgspec.Struct):
    thread: _Thread


class _BegunAnswer(msgspec.Struct):
    result: _Begun


class _Turn(msgspec.Struct):
    status: str


class _Params(msgspec.Struct):
    threadId: str  # noqa: N815
    turn: _Turn


class _Notification(msgspec.Struct):
    params: _Params


class AppClient(Client):
    """A started program. A thread has one turn at a time here."""

    has_envelope = False
    _ended: dict[str, tuple[float, str]]
    """The turns that have ended and were not asked for yet, by thread: when, and how."""

    @property
    def output(self) -> int:
        """The descriptor of the program's output."""
        return self._output

    def initialize(self) -> Answer:
        """Do the handshake and return the answer to its request."""
        self._ended = {}
        info = {"name": "benchmark", "title": "Benchmark", "version": "1"}
        answer = self.wait(self.send("initialize", {"clientInfo": info, "capabilities": {"experimentalApi": True}}))
        self._write({"method": "initialized"})
        return answer

    def open(self) -> str:
        """Start a thread and return its id."""
        answer = self.wait(self.send("thread/start", {"cwd": self.workspace}))
        try:
            return msgspec.json.decode(answer.line, type=_BegunAnswer).result.thread.id
        except msgspec.DecodeError:
            raise self._failure(f"answered with {answer.line[:500].decode(errors='replace')}") from None

    def say(self, thread: str, prompt: str) -> None:
        """Ask for a turn."""
        self.send("turn/start", {"threadId": thread, "input": [{"type": "text", "text": prompt}]})

    def turn(self, thread: str, prompt: str, timeout_s: float = TIMEOUT) -> float:
        """Have a turn that succeeds, and return when its end was read."""
        self.say(thread, prompt)
        deadline = time.monotonic() + timeout_s
        while thread not in self._ended:
            self._read(deadline)
        return self._succeeded(thread)

    def read(self) -> dict[str, float]:
        """Read what is there, and return the threads whose turns have ended, and when. All must have succeeded."""
        self._read(time.monotonic() + TIMEOUT)
        return {thread: self._succeeded(thread) for thread in list(self._ended)}

    def _succeeded(self, thread: str) -> float:
        at, status = self._ended.pop(thread)
        if status != "completed":
            raise self._failure(f"ended a turn as {status}")
        return at

    def _take(self, lines: bytes, now: float) -> None:
        super()._take(lines, now)
        if _COMPLETED not in lines:
            return
        for line in lines.splitlines():
            if _COMPLETED in line[:_HEAD]:
                params = msgspec.json.decode(line, type=_Notification).params
                self._ended[params.threadId] = (now, params.turn.status)

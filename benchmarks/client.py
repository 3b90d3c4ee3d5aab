"""A client with minimal cost: it reads the pipe in large blocks and searches only for what it waits for."""

import os
import re
import select
import subprocess
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import msgspec

from benchmarks.cores import given
from benchmarks.subject import Subject, environment

TIMEOUT: Final = 60.0
_BLOCK: Final = 1 << 20
_ANSWER: Final = re.compile(rb'"id":(\d+)[,}]')
_DELTA: Final = re.compile(
    rb'"type":"agent_message_(content_)?delta"(?:,"[a-z_]+":"[^"]*")*?,"delta":"((?:[^"\\]|\\.)*)"'
)
"""How a piece of text is reported: in its earlier form, in its later form, or in both."""
_FORMS: Final = (b"", b"content_")
_LOG_TAIL: Final = 2000


class SubjectError(Exception):
    """A program did not do what is to be measured."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request."""

    at: float
    """When the block that completed it had been read, in seconds of the monotonic clock."""
    line: bytes


class _Structured(msgspec.Struct):
    threadId: str  # noqa: N815


class _Result(msgspec.Struct):
    structuredContent: _Structured | None = None  # noqa: N815
    isError: bool = False  # noqa: N815


class _CallAnswer(msgspec.Struct):
    result: _Result


class Client:
    """A started program. It numbers its requests from 1 and collects answers as they come."""

    has_envelope = True
    """Whether messages have the member `jsonrpc`."""

    def __init__(self, subject: Subject, home: str, workspace: str) -> None:
        self.subject = subject
        self.workspace = workspace
        self._characters = dict.fromkeys(_FORMS, 0)
        self.last_delta = 0.0
        self._log = os.path.join(home, "stderr.log")
        self._last_id = 0
        self._answers: dict[int, Answer] = {}
        self._tail = b""
        self._seen = b""
        self._seeking: re.Pattern[bytes] | None = None
        self.started = time.monotonic()
        self._process = self._start(environment(subject, home))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input = self._process.stdin.fileno()
        self._output = self._process.stdout.fileno()
        self._readable = select.poll()
        self._readable.register(self._output, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()  # type: ignore[union-attr]

    @property
    def pid(self) -> int:
        """The started process."""
        return self._process.pid

    def initialize(self) -> Answer:
        """Do the handshake and return the answer to its request."""
        client = {"name": "benchmark", "version": "1"}
        params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
        answer = self.wait(self.send("initialize", params))
        self._write({"method": "notifications/initialized"})
        return answer

    def begin(self, prompt: str, **arguments: object) -> int:
        """Send a call that begins a conversation and return its number."""
        named = {"prompt": prompt, "cwd": self.workspace, **arguments}
        return self.send("tools/call", {"name": "codex", "arguments": named})

    def reply(self, thread: str, prompt: str) -> int:
        """Send a call that continues a conversation and return its number."""
        return self.send("tools/call", {"name": "codex-reply", "arguments": {"threadId": thread, "prompt": prompt}})

    def send(self, method: str, params: object) -> int:
        """Send a request and return its number."""
        self._last_id += 1
        self._write({"id": self._last_id, "method": method, "params": params})
        return self._last_id

    def cancel(self, number: int) -> None:
        """Request the end of a call, which is then answered."""
        self._write({"method": "notifications/cancelled", "params": {"requestId": number}})

    def answers(self, within: float) -> dict[int, Answer]:
        """Return the answers that were not returned yet; if there are none, wait at most so many seconds for some."""
        if not self._answers and self._readable.poll(within * 1000):
            self._read(time.monotonic() + within)
        answers, self._answers = self._answers, {}
        return answers

    def wait(self, number: int, timeout_s: float = TIMEOUT) -> Answer:
        """Wait for the answer to a request."""
        deadline = time.monotonic() + timeout_s
        while number not in self._answers:
            self._read(deadline)
        return self._answers.pop(number)

    def succeed(self, number: int, timeout_s: float = TIMEOUT) -> tuple[Answer, str]:
        """Wait for the successful answer to a call, and return it with the conversation's id."""
        answer = self.wait(number, timeout_s)
        try:
            result = msgspec.json.decode(answer.line, type=_CallAnswer).result
        except msgspec.DecodeError:
            raise self._failure(f"answered with {answer.line[:500].decode(errors='replace')}") from None
        if result.isError or result.structuredContent is None:
            raise self._failure(f"answered with {answer.line[:500].decode(errors='replace')}")
        return answer, result.structuredContent.threadId

    def seek(self, pattern: re.Pattern[bytes], timeout_s: float = TIMEOUT) -> bytes:
        """Wait until newly read output matches the pattern, and return its first group."""
        deadline = time.monotonic() + timeout_s
        self._seeking = pattern
        self._seen = b""
        while (match := pattern.search(self._seen)) is None:
            self._read(deadline)
        self._seeking = None
        return match[1]

    @property
    def streamed(self) -> int:
        """Characters of text received in deltas, each counted once, however many deltas they came in."""
        return max(self._characters.values())

    def forget_streamed(self) -> None:
        """Start counting the characters."""
        self._characters = dict.fromkeys(_FORMS, 0)

    def _start(self, variables: dict[str, str]) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        with open(self._log, "ab") as log, given(self.subject.cores):
            try:
                return subprocess.Popen(
                    self.subject.command,
                    stdin=pipe,
                    stdout=pipe,
                    stderr=log,
                    bufsize=0,
                    env=variables,
                    cwd=self.workspace,
                )
            except OSError as error:
                raise SubjectError(f"{self.subject.name} cannot be started: {error}") from error

    def _write(self, fields: dict[str, object]) -> None:
        envelope = {"jsonrpc": "2.0"} if self.has_envelope else {}
        data = memoryview(msgspec.json.encode({**envelope, **fields}) + b"\n")
        while data:
            data = data[os.write(self._input, data) :]

    def _read(self, deadline: float) -> None:
        if not self._readable.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise self._failure("did not answer in time")
        block = os.read(self._output, _BLOCK)
        now = time.monotonic()
        if not block:
            raise self._failure("closed its standard output")
        end = block.rfind(b"\n") + 1
        if not end:
            self._tail += block
            return
        lines = self._tail + block[:end]
        self._tail = block[end:]
        self._take(lines, now)

    def _take(self, lines: bytes, now: float) -> None:
        found = _DELTA.findall(lines)
        for form in _FORMS if found else ():
            text = b"".join([piece for kind, piece in found if kind == form])
            self._characters[form] += len(msgspec.json.decode(b'"%b"' % text, type=str))
            self.last_delta = now
        if self._seeking is not None:
            self._seen += lines
        for match in _ANSWER.finditer(lines):
            line = lines[lines.rfind(b"\n", 0, match.start()) + 1 : lines.index(b"\n", match.end())]
            if b'"method"' not in line[:200] and (b'"result"' in line or b'"error"' in line):
                self._answers[int(match[1])] = Answer(now, line)

    def _failure(self, what: str) -> SubjectError:
        with open(self._log, "rb") as log:
            log.seek(max(0, os.path.getsize(self._log) - _LOG_TAIL))
            tail = log.read().decode(errors="replace")
        return SubjectError(f"{self.subject.name} {what}\n{tail}")

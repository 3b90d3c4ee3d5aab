"""A started program whose conversations stream at a pace, and what that costs it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from benchmarks.client import Client, SubjectError
from benchmarks.model_process import PacedModel, prompt
from benchmarks.processes import cpu_by_role, cpu_seconds
from benchmarks.report import percentile
from benchmarks.stamps import Arrivals
from benchmarks.subject import Subject

TIMEOUT: Final = 120.0
"""Seconds that a step may take."""
_SETTLING: Final = 1.0
"""Seconds between the last stream's begin and the measurement."""
_LONGEST_SETTLING: Final = 10.0
"""The same where deltas still come late, held up by the begin of the turns."""
_CURRENT: Final = 0.1
"""Seconds that deltas may take for them not to be held up."""
_IDLE: Final = 3.0
"""Seconds for which a program has to be idle."""
_IDLE_CORES: Final = 0.02
"""CPU seconds a second below which a program counts as idle."""
_PAUSE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one run has shown."""

    conversations: int
    deltas: int
    """Sent by the model while CPU was measured."""
    offered: float
    """Their share of what the model should have sent: below 1 where the machine had no time for the model."""
    late: int
    """Those of them that the model sent late."""
    cost: float
    """CPU seconds of all processes for a delta in the midst of the streams, above idling."""
    cores: float
    """CPU seconds a second in the midst of the streams, idling included."""
    roles: dict[str, float]
    """Seconds above idling for each name of a process and a thread."""
    delays: list[float]
    """Seconds from the model's socket to the client's pipe, of the deltas that arrived while CPU was measured."""

    def delay(self, percent: float) -> float:
        """Return a percentile of the delays; no time at all where nothing has come."""
        return percentile(self.delays, percent) if self.delays else 0.0


@dataclass(frozen=True, slots=True)
class Use:
    """CPU that a subject has used while time passed."""

    seconds: float
    roles: dict[str, float]
    """Seconds of each name of a process and a thread."""
    took: float
    """Seconds of the clock."""

    def above(self, idle: "Use") -> float:
        """Return the seconds that idling does not account for."""
        return self.seconds - idle.seconds * self.took / idle.took

    def roles_above(self, idle: "Use") -> dict[str, float]:
        """Return the same for each role."""
        share = self.took / idle.took
        return {role: seconds - idle.roles.get(role, 0.0) * share for role, seconds in self.roles.items()}


class StreamClient(Client):
    """A client that notes when each delta has come."""

    def __init__(self, subject: Subject, home: str, workspace: str) -> None:
        self.arrivals = Arrivals()
        super().__init__(subject, home, workspace)

    def read_for(self, seconds: float) -> None:
        """Read whatever comes for so many seconds."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if self._readable.poll(left * 1000):
                self._read(deadline)

    def _take(self, lines: bytes, now: float) -> None:
        super()._take(lines, now)
        self.arrivals.read(lines, now)


class Streamer:
    """A subject with conversations that have had a turn each. Its methods raise `SubjectError`."""

    def __init__(self, subject: Subject, model: PacedModel, home: str, workspace: str) -> None:
        self._model = model
        self._client = StreamClient(subject, home, workspace)
        self._threads: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._client.initialize()
        except SubjectError:
            self._client.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.__exit__(kind, error, traceback)

    def grow(self, count: int) -> None:
        """Begin conversations until there are so many."""
        begun = [self._client.begin(prompt(0)) for _ in range(count - len(self._threads))]
        self._threads += [self._client.succeed(call, TIMEOUT)[1] for call in begun]

    def rest(self) -> Use:
        """Wait until the program does nothing worth mention any more, and return what it has used at last."""
        deadline = time.monotonic() + TIMEOUT
        while (now := self.watch(_IDLE)).seconds > _IDLE_CORES * now.took:
            if time.monotonic() > deadline:
                raise SubjectError(f"{self._client.subject.name} has not come to rest")
        return now

    def watch(self, seconds: float) -> Use:
        """Read for some seconds, and return what the subject has used."""
        pid, begun = self._client.pid, time.monotonic()
        roles, before = cpu_by_role(pid), cpu_seconds(pid)
        self._client.read_for(seconds)
        took, after, later = time.monotonic() - begun, cpu_seconds(pid), cpu_by_role(pid)
        return Use(after - before, {role: later[role] - roles.get(role, 0.0) for role in later}, took)

    def stream(self, conversations: int, rate: int, seconds: float, idle: Use, *, delivered: bool = True) -> Streamed:
        """Let so many of the conversations stream until they have been watched for so long.

        `rate` is in deltas a second of each. `delivered` says that each delta has to reach the client.
        """
        client = self._client
        with self._streaming([(thread, rate) for thread in self._threads[:conversations]], delivered=delivered):
            self._settle(delivered=delivered)
            since, seen = self._model.report(), len(client.arrivals.delays)
            steady = self.watch(seconds)
            delays, until = client.arrivals.delays[seen:], self._model.report()
        deltas = until.sent - since.sent
        return Streamed(
            conversations=conversations,
            deltas=deltas,
            offered=deltas / (conversations * rate * steady.took),
            late=until.late - since.late,
            cost=steady.above(idle) / deltas,
            cores=steady.seconds / steady.took,
            roles=steady.roles_above(idle),
            delays=delays,
        )

    def whole(self, conversations: int, rate: int, seconds: float, idle: Use, *, delivered: bool = True) -> float:
        """Let so many new conversations stream for so long; return CPU seconds for a delta, from call to answer."""
        pid, begun = self._client.pid, time.monotonic()
        before, used = self._model.report(), cpu_seconds(pid)
        with self._streaming([(None, rate)] * conversations, delivered=delivered):
            self._client.read_for(seconds)
        use = Use(cpu_seconds(pid) - used, {}, time.monotonic() - begun)
        return use.above(idle) / (self._model.report().sent - before.sent)

    @contextmanager
    def _streaming(self, streams: Sequence[tuple[str | None, int]], *, delivered: bool) -> Iterator[None]:
        """Make a call for each conversation, a new one for `None`; go on once all stream, and end them afterwards."""
        client = self._client
        client.arrivals = Arrivals()
        before = self._model.report()
        calls = [
            client.begin(prompt(rate)) if thread is None else client.reply(thread, prompt(rate))
            for thread, rate in streams
        ]
        try:
            self._until_all_stream(len(calls))
            yield
        finally:
            total = self._model.stop()
        for call in calls:
            client.succeed(call, TIMEOUT)
        if delivered:
            self._check(total.sent - before.sent)

    def _settle(self, *, delivered: bool) -> None:
        """Read until what the begin of so many turns has held up has come, and no longer than a program may take."""
        delays = self._client.arrivals.delays
        deadline = time.monotonic() + _LONGEST_SETTLING
        while True:
            seen = len(delays)
            self._client.read_for(_SETTLING)
            current = not delivered or (len(delays) > seen and percentile(delays[seen:], 99) <= _CURRENT)
            if current or time.monotonic() > deadline:
                return

    def _until_all_stream(self, count: int) -> None:
        deadline = time.monotonic() + TIMEOUT
        while (found := self._model.report().streaming) < count:
            if time.monotonic() > deadline:
                raise SubjectError(f"{self._client.subject.name} opened {found} of {count} streams")
            self._client.read_for(_PAUSE)

    def _check(self, sent: int) -> None:
        """See that each delta has come."""
        come = len(self._client.arrivals.delays)
        if come != sent:
            raise SubjectError(f"{self._client.subject.name} relayed {come} of {sent} deltas")

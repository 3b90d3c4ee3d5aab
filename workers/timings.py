"""Measures what the parts of a turn take, and keeps that until the supervisor has been told.

There is one measurement for each model request, tool call and decision, and none for the pieces of an answer.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import MappingProxyType, TracebackType
from typing import Final, NamedTuple, Self

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.telemetry.timings import (
    BUILTIN_TOOLS,
    LONGEST_NAME,
    MOST,
    MOST_ATTEMPTS,
    MOST_OPEN,
    AttemptOutcome,
    AttemptTiming,
    DecidedBy,
    DecisionTiming,
    OpenPart,
    OpenRequest,
    OpenTool,
    RequestTiming,
    Timing,
    TokenUse,
    ToolEnd,
    ToolOrigin,
    ToolTiming,
)
from greenroom.protocol.telemetry.trace_context import TraceContext

KEPT: Final = 8 * MOST
"""Timings that are kept while the supervisor takes nothing; further ones are only counted."""
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class Subject(NamedTuple):
    """Whom model requests are for at the moment."""

    model: str
    provider: str
    """Its name in the configuration."""


class TurnTimings:
    """The timings of one conversation that have not been sent."""

    def __init__(
        self,
        subject: Callable[[], Subject] = lambda: Subject("", ""),
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`subject` returns whom requests are for; `now` seconds since the epoch, `clock` seconds that only grow."""
        self._subject, self._now, self._clock = subject, now, clock
        self._kept: list[Timing] = []
        self._dropped = 0
        self._open: dict[object, Callable[[], OpenPart]] = {}
        """What tells of the parts that have not ended, oldest first."""
        self._tool = ""
        """The name of the tool that runs."""
        self.on_full: Callable[[], None] | None = None
        """Called when a message's worth of them is kept, unless `None`."""
        self.trace: TraceContext | None = None
        """The span that stands for the running turn; model servers are then told of it. `None` without tracing."""

    @property
    def waiting(self) -> tuple[Timing, ...]:
        """The oldest that have not been sent, at most `MOST`."""
        return tuple(self._kept[:MOST])

    @property
    def open_parts(self) -> tuple[OpenPart, ...]:
        """The oldest parts that have not ended, at most `MOST_OPEN`; none without tracing."""
        return () if self.trace is None else tuple(tell() for tell in islice(self._open.values(), MOST_OPEN))

    def opens(self, part: object, tell: Callable[[], OpenPart]) -> None:
        """Note that a part begins, of which `tell` tells until it `closes`."""
        self._open[part] = tell

    def closes(self, part: object) -> None:
        """Note that a part has ended."""
        del self._open[part]

    def sent(self, count: int) -> None:
        """Drop the oldest, which have been sent."""
        del self._kept[:count]

    def end_turn(self) -> tuple[tuple[Timing, ...], int]:
        """Return what is told with the end of a turn, and how many timings are not told at all; nothing is kept."""
        told = self.waiting
        untold = self._dropped + len(self._kept) - len(told)
        self._kept.clear()
        self._dropped = 0
        return told, untold

    def request(self, server: str) -> "RequestTimer":
        """Measure a model request within the `with` block."""
        return RequestTimer(self, server, self._subject(), self.trace)

    @contextmanager
    def tool(self, call: Mapping[str, object]) -> "Iterator[ToolTimer]":
        """Measure a tool call within the block."""
        timer, started_at, begun = ToolTimer(), self._now(), self._clock()
        name = self._tool = str(call["name"])[:LONGEST_NAME]
        call_id = str(call["call_id"])[:LONGEST_NAME]
        self.opens(timer, lambda: timer.open_part(started_at, name, call_id))
        try:
            yield timer
        except BaseException:
            timer.end = "cancelled"
            raise
        finally:
            self._tool = ""
            self.closes(timer)
            self.keep(
                ToolTiming(
                    started_at=started_at,
                    seconds=self._clock() - begun,
                    name="" if timer.origin == "unknown" else name,
                    call_id=call_id,
                    origin=timer.origin,
                    end=timer.end,
                    arguments_size=len(str(call.get("arguments") or call.get("input") or "")),
                    output_size=timer.output_size,
                )
            )

    @contextmanager
    def decision(self, question: AnyQuestion, by: DecidedBy) -> "Iterator[DecisionTimer]":
        """Measure the wait for a decision within the block."""
        timer, started_at, begun = DecisionTimer(), self._now(), self._clock()
        try:
            yield timer
        finally:
            self.keep(
                DecisionTiming(
                    started_at=started_at,
                    seconds=self._clock() - begun,
                    kind=question.kind,
                    call_id=str(getattr(question, "call_id", ""))[:LONGEST_NAME],
                    tool=self._tool,
                    by=by,
                    verdict=timer.verdict,
                )
            )

    def keep(self, timing: Timing) -> None:
        """Keep a timing until it is sent."""
        if len(self._kept) >= KEPT:
            self._dropped += 1
            return
        self._kept.append(timing)
        if self.on_full is not None and len(self._kept) % MOST == 0:
            self.on_full()

    def elapsed(self, begun: float | None = None) -> float:
        """Return the seconds since `begun`, which an earlier call has returned; without it the present moment."""
        return self._clock() if begun is None else self._clock() - begun

    def now(self) -> float:
        """Return the present moment in seconds since the epoch."""
        return self._now()


class ToolTimer:
    """What becomes of a tool call."""

    __slots__ = ("end", "origin", "output_size")

    def __init__(self) -> None:
        self.origin: ToolOrigin = "builtin"
        self.end: ToolEnd = "ok"
        self.output_size = 0

    def open_part(self, started_at: float, name: str, call_id: str) -> OpenTool:
        """Tell of the call before it has ended. A name that may be invented is left out."""
        is_known = self.origin == "mcp" or name in BUILTIN_TOOLS
        return OpenTool(started_at=started_at, name=name if is_known else "", call_id=call_id, origin=self.origin)


class DecisionTimer:
    """What becomes of a question."""

    __slots__ = ("verdict",)

    def __init__(self) -> None:
        self.verdict = "cancelled"


class RequestTimer:
    """Measures one model request, in a `with` block, and its attempts."""

    __slots__ = (
        "_attempts",
        "_begun",
        "_first_token",
        "_outcomes",
        "_sent",
        "_sent_at",
        "_server",
        "_span_id",
        "_started_at",
        "_subject",
        "_timings",
        "headers",
        "usage",
    )

    def __init__(self, timings: TurnTimings, server: str, subject: Subject, trace: TraceContext | None) -> None:
        self._timings = timings
        self._server, self._subject = server, subject
        self._started_at, self._begun = timings.now(), timings.elapsed()
        self._attempts: list[AttemptTiming] = []
        self._outcomes: dict[AttemptOutcome, int] = {}
        self._sent: float | None = None
        self._sent_at = 0.0
        self._first_token: float | None = None
        self.usage: TokenUse | None = None
        """Tokens of the answer, once it is complete and if the server has reported them."""
        self._span_id = ""
        self.headers: Mapping[str, str] = NO_HEADERS
        """Headers of the request that name its trace."""
        if trace is not None:
            self._span_id = secrets.token_hex(8)
            self.headers = trace.headers_of(self._span_id)

    def sent(self) -> None:
        """Note that an attempt begins."""
        self._sent_at, self._sent = self._timings.now(), self._timings.elapsed()
        self._first_token = None

    def heard(self) -> None:
        """Note the first of the model's events in the present attempt."""
        if self._sent is not None:
            self._first_token = self._timings.elapsed(self._sent)

    def ended(self, outcome: AttemptOutcome) -> None:
        """Note that the present attempt has ended; one without a credential was never sent."""
        if self._sent is None:
            return
        timing = AttemptTiming(started_at=self._sent_at, seconds=self._timings.elapsed(self._sent), outcome=outcome)
        self._sent = None
        self._outcomes[outcome] = self._outcomes.get(outcome, 0) + 1
        if len(self._attempts) < MOST_ATTEMPTS:
            self._attempts.append(timing)
        else:
            self._attempts[-1] = timing

    def open_part(self) -> OpenRequest:
        """Tell of the request before it has ended."""
        return OpenRequest(
            started_at=self._started_at,
            model=self._subject.model[:LONGEST_NAME],
            provider=self._subject.provider[:LONGEST_NAME],
            server=self._server[:LONGEST_NAME],
            span_id=self._span_id,
        )

    def __enter__(self) -> Self:
        self._timings.opens(self, self.open_part)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timings.closes(self)
        self.ended("ok" if error is None else "cancelled")
        failure = None
        if error is not None:
            failure = error.kind if isinstance(error, GreenroomError) else "cancelled"
        self._timings.keep(
            RequestTiming(
                started_at=self._started_at,
                seconds=self._timings.elapsed(self._begun),
                model=self._subject.model[:LONGEST_NAME],
                provider=self._subject.provider[:LONGEST_NAME],
                server=self._server[:LONGEST_NAME],
                attempts=tuple(self._attempts),
                outcomes=self._outcomes,
                first_token=self._first_token,
                error=failure,
                usage=self.usage,
                span_id=self._span_id,
            )
        )

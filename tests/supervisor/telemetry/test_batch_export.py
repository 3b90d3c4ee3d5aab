"""Records are sent after a while, sooner where there are many, and at the end."""

import asyncio

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from greenroom.protocol.errors import ConfigError
from greenroom.supervisor.conversations.telemetry_records import TelemetryRecords
from greenroom.supervisor.telemetry.batch_export import SPANS, BatchExport, pace_of
from greenroom.supervisor.telemetry.record_buffer import BufferLimits, RecordBuffer, SenderIdentity
from tests.support.loop import on_loop

LIMITS = BufferLimits(4, 2)
SOON, NEVER = 0.01, 3600.0


class Sent:
    """Takes messages, and counts the records in them."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.fails = self.refuses = self.is_shut = False
        self.arrived = asyncio.Event()
        self.told = TelemetryRecords()
        self._loop = asyncio.get_running_loop()

    def send(self, request: bytes) -> str:
        message = ExportTraceServiceRequest.FromString(request)
        self.counts.append(len(message.resource_spans[0].scope_spans[0].spans))
        self._loop.call_soon_threadsafe(self.arrived.set)
        if self.fails:
            raise OSError("no")
        return "HTTP 401" if self.refuses else ""

    async def counted(self, count: int) -> None:
        while self.told.counts.total() < count:
            await asyncio.sleep(0)

    def shutdown(self) -> None:
        self.is_shut = True


def record(name: str) -> bytes:
    return Span(name=name).SerializeToString()


def scene(delay: float, *, starts: bool = True) -> tuple[Sent, BatchExport, RecordBuffer]:
    sent = Sent()
    buffer = RecordBuffer(SenderIdentity(Resource({}), InstrumentationScope("s")).around_spans, LIMITS)
    export = BatchExport("spans", buffer, sent, delay, sent.told)
    if starts:
        export.start()
    return sent, export, buffer


@on_loop
async def test_records_are_sent_after_a_while_also_when_an_earlier_attempt_has_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sent, export, buffer = scene(SOON)
    sent.fails = True
    for name in "ab":
        sent.arrived.clear()
        buffer.add(record(name))
        await sent.arrived.wait()
    await export.close()
    assert (sent.counts, sent.is_shut) == ([1, 1], True)
    assert "spans could not be sent" in caplog.text
    assert sent.told.counts == {("spans", "failed"): 2}
    assert sent.told.failures == {"spans": "OSError"}


@on_loop
async def test_a_full_message_does_not_wait() -> None:
    sent, export, buffer = scene(NEVER)
    for name in "ab":
        buffer.add(record(name))
    await sent.arrived.wait()
    await export.close()
    assert sent.counts == [2]


@pytest.mark.parametrize("has_same_delay", [True, False])
@on_loop
async def test_another_export_of_the_same_delay_sends_at_the_same_time(has_same_delay: bool) -> None:
    sent, export, buffer = scene(NEVER, starts=False)
    other_sent, other, other_buffer = scene(NEVER if has_same_delay else NEVER + 1, starts=False)
    for one in (export, other):
        one.start([export, other])
    other_buffer.add(record("a"))
    for name in "bc":
        buffer.add(record(name))
    await sent.counted(2)
    if has_same_delay:
        await other_sent.counted(1)
    assert other_sent.counts == ([1] if has_same_delay else [])
    await asyncio.gather(export.close(), other.close())
    assert (sent.counts, other_sent.counts) == ([2], [1])


@on_loop
async def test_what_taking_adds_is_sent_with_the_rest() -> None:
    sent, export, buffer = scene(NEVER)
    taken: list[int] = []

    def add() -> None:
        taken.append(buffer.waiting)
        for name in "cd":
            buffer.add(record(name))

    buffer.before_take = add
    for name in "ab":
        buffer.add(record(name))
    await sent.counted(4)
    assert taken == [2], "there is no reason to look again at once"
    buffer.before_take = None
    await export.close()
    assert sent.counts == [2, 2]


@on_loop
async def test_the_rest_is_sent_at_the_end_and_what_had_no_room_is_told(caplog: pytest.LogCaptureFixture) -> None:
    sent, export, buffer = scene(NEVER)
    for name in "abcdef":
        buffer.add(record(name))
    await export.close()
    assert (sent.counts, sent.is_shut) == ([2, 2], True)
    assert "2 spans were dropped" in caplog.text
    assert sent.told.counts == {("spans", "sent"): 4, ("spans", "dropped"): 2}


@on_loop
async def test_records_that_a_collector_refuses_are_counted_as_failed() -> None:
    sent, export, buffer = scene(NEVER)
    sent.refuses = True
    buffer.add(record("a"))
    await export.close()
    assert sent.told.counts == {("spans", "failed"): 1}
    assert sent.told.failures == {"spans": "HTTP 401"}


def test_the_pace_is_that_of_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace_of(SPANS) == (10.0, (2048, 512))
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "250")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")
    with pytest.raises(ConfigError, match="OTEL_BSP_MAX_EXPORT_BATCH_SIZE is 512"):
        pace_of(SPANS)
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "5")
    assert pace_of(SPANS) == (0.25, (10, 5))
    for wrong in ("0", "-1", "soon"):
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", wrong)
        with pytest.raises(ConfigError, match="OTEL_BSP_SCHEDULE_DELAY"):
            pace_of(SPANS)

"""Old session files are looked at once a day, by a job, and only where that is set."""

import asyncio
import logging
from pathlib import Path

import msgspec
import pytest

from greenroom.protocol.internal.jobs import JobParams
from greenroom.sessions.retention import Retention, RetentionResult
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError
from greenroom.supervisor.conversations.jobs.retention_schedule import EVERY, FIRST_AFTER, apply_retention
from greenroom.workers.job_context import JobError, Setting
from greenroom.workers.jobs import apply_retention as job
from tests.support.virtual_time import in_virtual_time


class Runner:
    """Notes when jobs are run; the first one fails."""

    def __init__(self) -> None:
        self.ran: list[tuple[float, JobParams]] = []

    async def run(self, params: JobParams) -> bytes:
        at = asyncio.get_running_loop().time()
        self.ran.append((at, params))
        if len(self.ran) == 1:
            raise JobFailedError("its process died", "worker_crashed")
        return msgspec.json.encode(RetentionResult(deleted=2) if len(self.ran) == 2 else None)


@in_virtual_time
async def test_it_is_done_soon_after_the_start_and_then_daily_whatever_fails() -> None:
    runner = Runner()
    begun = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(FIRST_AFTER + 2.5 * EVERY):
            await apply_retention(runner, Retention(30, 90))
    assert [wanted for _, wanted in runner.ran] == [Retention(30, 90)] * 3
    assert [round((at - begun - FIRST_AFTER) / EVERY) for at, _ in runner.ran] == [0, 1, 2]


@in_virtual_time
async def test_where_nothing_is_set_nothing_is_done() -> None:
    runner = Runner()
    await apply_retention(runner, Retention())
    assert runner.ran == []


def test_what_was_done_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    runner = Runner()

    @in_virtual_time
    async def run() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(FIRST_AFTER + 1.5 * EVERY):
                await apply_retention(runner, Retention(0, 90))

    with caplog.at_level(logging.INFO):
        run()
    assert [record.levelname for record in caplog.records if "session files" in record.message] == ["WARNING", "INFO"]


def test_the_job_says_what_it_did_and_fails_in_words(tmp_path: Path) -> None:
    params = msgspec.json.encode(Retention(30, 90))
    setting = Setting(str(tmp_path), str(tmp_path))
    answer = asyncio.run(job.run(params, setting))
    assert msgspec.json.decode(answer, type=RetentionResult) == RetentionResult()
    assert asyncio.run(job.run(params, setting)) == b"null"
    with pytest.raises(JobError, match="left as they are"):
        asyncio.run(job.run(params, Setting(str(tmp_path / "missing"), str(tmp_path))))

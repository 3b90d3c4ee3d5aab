"""Has session files compressed and deleted once a day, by a worker, where that is set."""

import asyncio
import logging
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from greenroom.sessions.retention import Retention, RetentionResult
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError

if TYPE_CHECKING:
    from greenroom.protocol.internal.jobs import JobParams

log = logging.getLogger(__name__)

FIRST_AFTER: Final = 60.0
"""Seconds from the start of the server to the first time."""
EVERY: Final = 86_400.0
"""Seconds between two times."""


class JobRunner(Protocol):
    """What runs the job (`greenroom.supervisor.conversations.jobs.jobs.Jobs`)."""

    async def run(self, params: "JobParams") -> bytes:
        """Run a job and return its result. Raises `JobFailedError`."""


async def apply_retention(jobs: JobRunner, retention: Retention) -> None:
    """Do what is due, again and again, until cancelled. Returns at once where nothing is set."""
    if not retention.is_set:
        return
    await asyncio.sleep(FIRST_AFTER)
    while True:
        try:
            _report(await jobs.run(retention))
        except JobFailedError as error:
            log.warning("old session files were not looked at: %s", error)
        await asyncio.sleep(EVERY)


def _report(answer: bytes) -> None:
    result = msgspec.json.decode(answer, type=RetentionResult | None)
    if result is not None and result != RetentionResult():
        log.info(
            "session files: %d deleted, %d compressed, which saved %d bytes, %d left",
            *(result.deleted, result.compressed, result.saved, result.left),
        )

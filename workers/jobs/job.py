"""One job of a worker that has no conversation: started, stopped on demand, and reported exactly once."""

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker.notices import JobDone, JobReport
from greenroom.protocol.internal.worker.operations import RunJob
from greenroom.workers.job_context import JobChannel, Setting
from greenroom.workers.mailbox import Mailbox
from greenroom.workers.model.credentials.channel import CredentialsChannel

log = logging.getLogger(__name__)

OnDone: TypeAlias = Callable[[JobDone, bytes], None]
JobFunction: TypeAlias = Callable[[bytes, Setting], Awaitable[bytes]]


def module_of(name: str) -> str:
    """Return the module whose `run` does a job; the worker that does it imports it, and no other."""
    return f"greenroom.workers.jobs.{name.replace('-', '_')}"


class JobRun:
    """Must be made on the running loop."""

    def __init__(
        self,
        operation: RunJob,
        params: bytes,
        spec: WorkerSpec,
        mailbox: Mailbox,
        open_credentials: Callable[[], CredentialsChannel],
    ) -> None:
        self._name = operation.name
        self._params = params
        channel = JobChannel(lambda report: mailbox.notify(JobReport(), report), mailbox.drain)
        self._setting = Setting(
            spec.codex_home,
            spec.runtime_directory,
            operation.config_overrides,
            channel=channel,
            open_credentials=open_credentials,
        )
        self._work: asyncio.Task[None] | None = None

    def start(self, on_done: OnDone) -> None:
        """Begin; `on_done` is called once, unless the job is closed before."""
        self._work = asyncio.get_running_loop().create_task(self._run(on_done), name=self._name)

    def tell(self, what: bytes) -> None:
        """Pass something on to it."""
        self._setting.channel.told.put_nowait(what)

    def stop(self) -> None:
        """Let it end with what it has so far."""
        self._setting.stopped.set()

    async def close(self) -> None:
        """Break it off if it is still under way."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))

    async def _run(self, on_done: OnDone) -> None:
        result, done = b"", JobDone()
        try:
            module = importlib.import_module(module_of(self._name))
            run = cast("JobFunction", module.run)
            result = await run(self._params, self._setting)
        except GreenroomError as error:
            done = JobDone(failure=str(error), error_kind=error.kind)
        except Exception as error:
            log.exception("job %s broke", self._name)
            text = f"internal error ({type(error).__name__}); the log on standard error has more"
            done = JobDone(failure=text, error_kind="internal")
        on_done(done, result)

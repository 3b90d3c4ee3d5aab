"""One job of a worker without a conversation: started, stopped on request, and reported exactly once."""

import asyncio
import importlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias, cast

from greenroom.protocol.errors import GreenroomError
from greenroom.protocol.internal.process import WorkerSpec
from greenroom.protocol.internal.worker import JobDone, JobName, RunJob
from greenroom.workers.jobs.context import Setting

log = logging.getLogger(__name__)

OnDone: TypeAlias = Callable[[JobDone, bytes], None]
Run: TypeAlias = Callable[[bytes, Setting], Awaitable[bytes]]

MODULES: Final[Mapping[JobName, str]] = {
    "archive-session": "greenroom.workers.jobs.archive_session",
    "diff-to-remote": "greenroom.workers.jobs.diff_to_remote",
    "list-sessions": "greenroom.workers.jobs.list_sessions",
    "read-session": "greenroom.workers.jobs.read_session",
    "run-command": "greenroom.workers.jobs.run_command",
    "saved-config": "greenroom.workers.jobs.saved_config",
    "search-files": "greenroom.workers.jobs.search_files",
    "set-default-model": "greenroom.workers.jobs.set_default_model",
}
"""The module with the `run` of each job, imported only by the worker that runs it."""


class Job:
    """To be created on the running loop."""

    def __init__(self, operation: RunJob, params: bytes, spec: WorkerSpec) -> None:
        self._name: JobName = operation.name
        self._params = params
        self._setting = Setting(spec.codex_home, spec.runtime_directory)
        self._work: asyncio.Task[None] | None = None

    def start(self, on_done: OnDone) -> None:
        """Start it; `on_done` is called once, unless the job is closed before."""
        self._work = asyncio.get_running_loop().create_task(self._run(on_done), name=self._name)

    def stop(self) -> None:
        """Let it end with the results so far."""
        self._setting.stopped.set()

    async def close(self) -> None:
        """Cancel it if it is still running."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait((self._work,))

    async def _run(self, on_done: OnDone) -> None:
        result, done = b"", JobDone()
        try:
            run = cast("Run", importlib.import_module(MODULES[self._name]).run)
            result = await run(self._params, self._setting)
        except GreenroomError as error:
            done = JobDone(failure=str(error), error_kind=error.kind)
        except Exception as error:
            log.exception("job %s broke", self._name)
            text = f"internal error ({type(error).__name__}); the log on standard error has more"
            done = JobDone(failure=text, error_kind="internal")
        on_done(done, result)

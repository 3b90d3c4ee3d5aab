"""The methods about files: read, write, create, look at, list, remove, copy; each in the sandbox, in a worker."""

from collections.abc import Mapping

import msgspec

from greenroom.protocol.internal.jobs import FileOutcome
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server.files.file_request import READERS, file_job
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.request_params import RefusedError
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer


class FileMethods:
    """These methods on one connection."""

    def __init__(self, jobs: Jobs, sessions: ThreadSessions) -> None:
        self._jobs = jobs
        self._sessions = sessions
        self.methods: Mapping[str, AnswerMethod] = {f"fs/{operation}": self._operate for operation in READERS}

    async def _operate(self, request: Request) -> RequestAnswer:
        directory = self._sessions.channel.directory(None)
        job = file_job(request, self._sessions.settings(), directory)
        try:
            done = await self._jobs.run(job)
        except JobFailedError as error:
            raise RefusedError(INVALID_REQUEST, f"{request.method}: {error}") from None
        outcome = msgspec.json.decode(done, type=FileOutcome)
        if outcome.fault is not None:
            raise RefusedError(INVALID_REQUEST if outcome.fault.is_invalid else INTERNAL_ERROR, outcome.fault.text)
        assert isinstance(outcome.result, msgspec.Raw), "there is a result where there is no fault"
        return RequestAnswer(bytes(outcome.result))

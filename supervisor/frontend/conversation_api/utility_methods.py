"""The methods that concern no conversation and do more than a job: configuration, identity, commands, files."""

from collections.abc import Mapping

from greenroom.protocol import conversation_api as api
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.jobs.jobs import Job, JobFailedError, Jobs
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer
from greenroom.supervisor.processes.broker_client import BrokerClient


class UtilityMethods:
    """The methods of one connection."""

    def __init__(self, jobs: Jobs, broker: BrokerClient, channel: ClientChannel) -> None:
        self._jobs = jobs
        self._broker = broker
        self._channel = channel
        self._searches: dict[str, Job] = {}
        self.methods: Mapping[str, AnswerMethod] = {
            "getUserSavedConfig": self._saved_config,
            "getConfigToml": self._config_toml,
            "getUserAgent": self._get_user_agent,
            "userInfo": self._user_info,
            "execOneOffCommand": self._exec,
            "fuzzyFileSearch": self._search,
            "gitDiffToRemote": self._git_diff,
        }

    async def _get_user_agent(self, _: Request) -> RequestAnswer:
        return RequestAnswer(encode({"userAgent": self._channel.user_agent}))

    async def _user_info(self, _: Request) -> RequestAnswer:
        status = await self._broker.status()
        return RequestAnswer(encode({"allegedUserEmail": status.email}))

    async def _saved_config(self, _: Request) -> RequestAnswer:
        return await self._read_config(api.SavedConfig())

    async def _config_toml(self, _: Request) -> RequestAnswer:
        return await self._read_config(api.SavedConfig(form="early"))

    async def _read_config(self, params: api.SavedConfig) -> RequestAnswer:
        try:
            return RequestAnswer(await self._jobs.run(params))
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, str(error)) from None

    async def _exec(self, request: Request) -> RequestAnswer:
        params = decode(request, api.ExecOneOffCommand)
        if not params.command:
            raise RefusedError(INVALID_REQUEST, "command must not be empty")
        policy = params.sandbox_policy
        command = api.ExecCommand(
            command=params.command,
            timeout_ms=params.timeout_ms,
            cwd=self._channel.directory(params.cwd),
            sandbox_policy=None if policy is None else policy.for_worker(),
        )
        try:
            return RequestAnswer(await self._jobs.run(command))
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, f"exec failed: {error}") from None

    async def _git_diff(self, request: Request) -> RequestAnswer:
        params = decode(request, api.GitDiffToRemote)
        try:
            return RequestAnswer(await self._jobs.run(params))
        except JobFailedError as error:
            quoted = encode(params.cwd).decode()
            reason = f": {error}" if error.kind == "config" else ""  # such as a kernel that cannot confine git
            text = f"failed to compute git diff to remote for cwd: {quoted}{reason}"
            raise RefusedError(INVALID_REQUEST, text) from None

    async def _search(self, request: Request) -> RequestAnswer:
        params = decode(request, api.FuzzyFileSearch)
        if not params.query or not params.roots:
            return RequestAnswer(b'{"files":[]}')
        token = params.cancellation_token
        if token is not None and (former := self._searches.get(token)) is not None:
            self._jobs.stop(former)
        search = self._jobs.begin(params)
        if token is not None:
            self._searches[token] = search
        try:
            return RequestAnswer(await self._jobs.wait(search))
        except JobFailedError as error:
            raise RefusedError(INTERNAL_ERROR, f"fuzzy file search failed: {error}") from None
        finally:
            if token is not None and self._searches.get(token) is search:
                del self._searches[token]

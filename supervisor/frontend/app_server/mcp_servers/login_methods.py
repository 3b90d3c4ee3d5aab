"""Logins of MCP servers: the broker runs them, and the client opens the address and is told how they end."""

from functools import partial
from typing import Final

from greenroom.protocol.app_server import mcp_servers as wire
from greenroom.protocol.app_server.notifications import McpServerOauthLoginCompleted
from greenroom.protocol.ids import uuid7
from greenroom.protocol.internal.broker.broadcasts import McpLoginComplete
from greenroom.protocol.internal.broker.questions import McpLoginStart
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions, read_thread_id
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer
from greenroom.supervisor.processes.broker_client import BrokerClient, BrokerError

TIMEOUT: Final = 300
LONGEST: Final = 3600
"""Seconds that the user has."""


class McpLoginMethods:
    """These methods on one connection."""

    def __init__(self, broker: BrokerClient, sessions: ThreadSessions, channel: AppServerChannel) -> None:
        self._broker = broker
        self._sessions = sessions
        self._channel = channel
        self.methods: dict[str, AnswerMethod] = {"mcpServer/oauth/login": self._login}

    async def _login(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.McpServerOauthLoginParams)
        if params.thread_id is not None:
            self._sessions.live(read_thread_id(params.thread_id))
        question = McpLoginStart(
            server=params.name,
            login_id=uuid7(),
            scopes=tuple(params.scopes or ()),
            timeout_s=max(1, min(TIMEOUT if params.timeout_secs is None else params.timeout_secs, LONGEST)),
        )
        login = _Login(params, question.login_id, self._channel)
        try:
            started = await self._broker.mcp_login_start(question, login.end)
        except BrokerError as error:
            code = INVALID_REQUEST if error.error.code == "not_found" else INTERNAL_ERROR
            raise RefusedError(code, f"failed to log in to MCP server '{params.name}': {error}") from None
        result = wire.McpServerOauthLoginResponse(authorization_url=started.url, login_id=started.login_id)
        return RequestAnswer(encode(result), login.announce)


class _Login:
    """One login: the client is told of its end, after the answer that names it."""

    def __init__(self, params: wire.McpServerOauthLoginParams, login_id: str, channel: AppServerChannel) -> None:
        self._tell = partial(
            McpServerOauthLoginCompleted, name=params.name, login_id=login_id, thread_id=params.thread_id
        )
        self._channel = channel
        self._is_announced = False
        self._end: McpLoginComplete | None = None

    def announce(self) -> None:
        self._is_announced = True
        self._settle()

    def end(self, told: McpLoginComplete) -> None:
        self._end = told
        self._settle()

    def _settle(self) -> None:
        if self._is_announced and self._end is not None:
            self._channel.tell(self._tell(success=self._end.success, error=self._end.error))

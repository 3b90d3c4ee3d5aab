"""The methods about the goals of threads."""

from collections.abc import Mapping

import msgspec

from greenroom.protocol.app_server import goals as wire
from greenroom.protocol.app_server.threads import ThreadIdParams
from greenroom.protocol.internal.requests import ClearedGoal, GoalResult, SetGoal
from greenroom.protocol.internal.worker.operations import RequestName
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.client_requests import RequestFailedError
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.app_server.goals.pursuit import GoalPursuit
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer


class GoalMethods:
    """These methods on one connection."""

    def __init__(self, conversations: Conversations, sessions: ThreadSessions, pursuit: GoalPursuit) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._pursuit = pursuit
        self.methods: Mapping[str, AnswerMethod] = {
            "thread/goal/set": self._set,
            "thread/goal/get": self._get,
            "thread/goal/clear": self._clear,
        }

    async def _set(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadGoalSetParams)
        wanted = SetGoal(params.objective, params.status, params.token_budget)
        session, result = await self._ask(params.thread_id, "set-goal", wanted)
        goal = msgspec.json.decode(result, type=GoalResult).goal
        assert goal is not None
        session.goal = goal
        return RequestAnswer(encode(wire.ThreadGoalSetResponse(goal=goal)), lambda: self._pursuit.follow(session))

    async def _get(self, request: Request) -> RequestAnswer:
        params = decode(request, ThreadIdParams)
        _, result = await self._ask(params.thread_id, "get-goal", None)
        goal = msgspec.json.decode(result, type=GoalResult).goal
        return RequestAnswer(encode(wire.ThreadGoalGetResponse(goal=goal)))

    async def _clear(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadGoalClearParams)
        session, result = await self._ask(params.thread_id, "clear-goal", None)
        session.goal = None
        cleared = msgspec.json.decode(result, type=ClearedGoal).cleared
        return RequestAnswer(encode(wire.ThreadGoalClearResponse(cleared=cleared)))

    async def _ask(self, thread_id: str, name: RequestName, params: SetGoal | None) -> tuple[ThreadSession, bytes]:
        """Ask the process of a thread, which is started where there is none. Raises `RefusedError`."""
        conversation, session, _ = await self._sessions.require(thread_id)
        if conversation.ephemeral:
            raise RefusedError(INVALID_REQUEST, f"ephemeral thread does not support goals: {conversation.id}")
        await self._sessions.announced(conversation)
        try:
            body = b"{}" if params is None else encode(params)
            return session, await self._conversations.requests.serve(conversation, name, body)
        except RequestFailedError as error:
            raise RefusedError(INVALID_REQUEST, str(error)) from None

"""The methods that begin threads."""

from collections.abc import Mapping

from greenroom.protocol.app_server.notifications import ThreadStarted
from greenroom.protocol.app_server.threads import ThreadStartParams
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.thread_form import live_thread
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.thread_settings import conversation_overrides
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import Answer, Method


class ThreadMethods:
    """These methods on one connection."""

    def __init__(self, conversations: Conversations, sessions: ThreadSessions, channel: AppServerChannel) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._channel = channel
        self.methods: Mapping[str, Method] = {"thread/start": self._start}

    async def _start(self, request: Request) -> Answer:
        params = decode(request, ThreadStartParams, b"{}")
        if params.ephemeral:
            raise RefusedError(INVALID_REQUEST, "`ephemeral` of `thread/start` is not supported")
        conversation = self._conversations.open(conversation_overrides(params))
        session = await self._sessions.open(conversation, params.approvals_reviewer)
        assert session.settings is not None
        thread = live_thread(conversation, session.settings, session.status)

        def announce() -> None:
            self._channel.tell(ThreadStarted(thread=thread))
            session.release()

        return Answer(encode(session.settings.told(thread)), announce)

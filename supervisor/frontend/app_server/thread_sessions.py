"""The threads of one client: those that it has started, resumed or forked, and that it is told of."""

import asyncio
from uuid import UUID

import msgspec

from greenroom.protocol.events.turn import SessionConfigured
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession
from greenroom.supervisor.frontend.app_server.thread_settings import SessionSettings
from greenroom.supervisor.frontend.conversation_api.turn_audience import OpeningAudience
from greenroom.supervisor.frontend.request_params import RefusedError

_read_announcement = msgspec.json.Decoder(SessionConfigured).decode


class ThreadSessions:
    """One client's subscriptions, by conversation."""

    def __init__(self, conversations: Conversations, channel: AppServerChannel) -> None:
        self._conversations = conversations
        self.channel = channel
        """The way to the client."""
        self._sessions: dict[ConversationId, ThreadSession] = {}

    def find(self, conversation_id: ConversationId) -> ThreadSession | None:
        """Return the subscription to a conversation, if there is one."""
        return self._sessions.get(conversation_id)

    def settings(self) -> list[SessionSettings]:
        """Return the settings of the threads that the client is told of."""
        return [session.settings for session in self._sessions.values() if session.settings is not None]

    def live(self, conversation_id: ConversationId) -> Conversation:
        """Return a conversation that is in use. Raises `RefusedError`."""
        conversation = self._conversations.find(conversation_id)
        if conversation is None:
            raise RefusedError(INVALID_REQUEST, f"thread not found: {conversation_id}")
        return conversation

    async def require(self, thread_id: str) -> tuple[Conversation, ThreadSession, SessionSettings]:
        """Return a conversation that is in use, with the subscription to it. Raises `RefusedError`.

        A conversation that another client has opened is subscribed to.
        """
        conversation = self.live(read_thread_id(thread_id))
        session = self.find(conversation.id)
        if session is None or session.settings is None:
            session = await self.open(conversation)
            session.release()
        assert session.settings is not None
        return conversation, session, session.settings

    async def open(self, conversation: Conversation) -> ThreadSession:
        """Start a conversation where it has no process, and subscribe to it. Raises `RefusedError`.

        A new subscription holds back what there is to tell until it is released.
        """
        session = self._sessions.get(conversation.id)
        if session is None:
            session = self._sessions[conversation.id] = ThreadSession(conversation.id, self.channel)
        if session not in conversation.observers:
            self._conversations.observe(conversation, session)
        try:
            event = await self.announced(conversation)
        except RefusedError:
            if session.settings is None:
                self.forget(conversation)
            raise
        if session.settings is None:
            session.settings = SessionSettings.announced(event)
        return session

    def forget(self, conversation: Conversation) -> bool:
        """End the subscription to a conversation; return whether there was one."""
        session = self._sessions.pop(conversation.id, None)
        if session is not None:
            self._conversations.unobserve(conversation, session)
        return session is not None

    async def announced(self, conversation: Conversation) -> SessionConfigured:
        """Start a conversation where it has no process, and return how it was announced. Raises `RefusedError`."""
        outcome: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()

        def settle(what: bytes | Failure) -> None:
            if not outcome.done():
                outcome.set_result(what)

        self._conversations.bring_up(conversation, OpeningAudience(self.channel, settle, settle))
        result = await outcome
        if isinstance(result, bytes):
            return _read_announcement(result)
        raise RefusedError(*_refusal(conversation.id, result))


def read_thread_id(text: str) -> ConversationId:
    """Return the id of a thread in canonical form. Raises `RefusedError`."""
    try:
        return ConversationId(str(UUID(text)))
    except ValueError:
        raise RefusedError(INVALID_REQUEST, f"invalid thread id: {text[:100]}") from None


def _refusal(conversation_id: ConversationId, failure: Failure) -> tuple[int, str]:
    match failure.kind:
        case "config":
            return INVALID_REQUEST, f"error deriving config: {failure.message}"
        case "session_unknown":
            return INVALID_REQUEST, f"no rollout found for thread id {conversation_id}"
        case "session_busy" | "session_unreadable":
            return INVALID_REQUEST, failure.message
    return INTERNAL_ERROR, f"failed to open thread {conversation_id}: {failure.message}"

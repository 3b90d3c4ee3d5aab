"""The methods by which a client begins, takes up and leaves threads."""

from collections.abc import Callable, Mapping

import msgspec

from greenroom.protocol.app_server import threads as wire
from greenroom.protocol.app_server.notifications import ThreadStarted
from greenroom.protocol.app_server.thread import Thread
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.internal.requests import InjectItems
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.client_requests import RequestFailedError
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state import lifecycle
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import ConversationTurn, UserCommand
from greenroom.supervisor.frontend.app_server.call_origin import request_origin
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.forms.thread_form import live_thread
from greenroom.supervisor.frontend.app_server.goals.pursuit import GoalPursuit
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.saved_threads import SavedThreads
from greenroom.supervisor.frontend.app_server.stored_methods import StoredMethods
from greenroom.supervisor.frontend.app_server.thread_session import ThreadSession
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions, read_thread_id
from greenroom.supervisor.frontend.app_server.thread_settings import conversation_overrides
from greenroom.supervisor.frontend.app_server.turn_audience import AppTurn
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer


class ThreadMethods:
    """These methods on one connection."""

    def __init__(
        self,
        conversations: Conversations,
        sessions: ThreadSessions,
        saved: SavedThreads,
        stored: StoredMethods,
        questions: Questions,
        channel: AppServerChannel,
        pursuit: GoalPursuit,
    ) -> None:
        self._conversations = conversations
        self._sessions = sessions
        self._saved = saved
        self._stored = stored
        self._questions = questions
        self._channel = channel
        self._pursuit = pursuit
        self.methods: Mapping[str, AnswerMethod] = {
            "thread/start": self._start,
            "thread/resume": self._resume,
            "thread/fork": self._fork,
            "thread/unsubscribe": self._unsubscribe,
            "thread/loaded/list": self._loaded,
            "thread/compact/start": self._compact,
            "thread/inject_items": self._inject,
            "thread/shellCommand": self._run_command,
        }

    async def _start(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadStartParams, b"{}")
        params = msgspec.structs.replace(params, cwd=self._channel.directory(params.cwd))
        conversation = self._conversations.open(
            conversation_overrides(params, self._channel.skill_roots), ephemeral=bool(params.ephemeral)
        )
        session = await self._sessions.open(conversation)
        assert session.settings is not None
        return self._begun(session, live_thread(conversation, session.settings, session.status))

    async def _resume(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadResumeParams)
        session = await self._take_up(read_thread_id(params.thread_id), self._channel.placed(params))
        thread = await self._stored.described(session.id, with_turns=not params.exclude_turns)
        assert session.settings is not None

        def release() -> None:
            session.release()
            self._pursuit.follow(session)

        return RequestAnswer(encode(session.settings.told(thread)), release)

    async def _fork(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadForkParams)
        origin = read_thread_id(params.thread_id)
        turns = None if params.last_turn_id is None else await self._number_of(origin, params.last_turn_id)
        placed = self._channel.placed(params)
        copied = await self._saved.fork(origin, turns)
        if params.ephemeral:
            return await self._unsaved(copied, placed)
        session = await self._take_up(copied, placed)
        thread = await self._stored.described(session.id, with_turns=not params.exclude_turns)
        return self._begun(session, thread)

    async def _unsaved(self, copied: ConversationId, params: wire.ThreadForkParams) -> RequestAnswer:
        """Take up a copy of a thread, and delete its file: from now on its process alone keeps it."""
        try:
            session = await self._take_up(copied, params, ephemeral=True)
            thread = await self._stored.described(session.id, with_turns=not params.exclude_turns)
        finally:
            await self._saved.delete(copied)
        self._sessions.live(copied).resume = "if-saved"
        return self._begun(session, msgspec.structs.replace(thread, ephemeral=True, path=None))

    async def _unsubscribe(self, request: Request) -> RequestAnswer:
        conversation_id = read_thread_id(decode(request, wire.ThreadIdParams).thread_id)
        conversation = self._conversations.find(conversation_id)
        if conversation is None:
            return RequestAnswer(encode(wire.ThreadUnsubscribeResponse(status="notLoaded")))
        was_there = self._sessions.forget(conversation)
        if conversation.ephemeral and not conversation.observers:
            self._conversations.dismiss(conversation, lambda: None)
        status = wire.ThreadUnsubscribeResponse(status="unsubscribed" if was_there else "notSubscribed")
        return RequestAnswer(encode(status))

    async def _loaded(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadLoadedListParams, b"{}")
        ids = sorted(one.id for one in self._conversations if one.observers or one.state in lifecycle.WITH_PROCESS)
        start = 0 if params.cursor is None else next((n for n, one in enumerate(ids) if one > params.cursor), len(ids))
        end = len(ids) if not params.limit else start + params.limit
        following = ids[end - 1] if end < len(ids) else None
        return RequestAnswer(encode(wire.ThreadLoadedListResponse(data=list(ids[start:end]), next_cursor=following)))

    async def _compact(self, request: Request) -> RequestAnswer:
        thread_id = decode(request, wire.ThreadIdParams).thread_id
        origin = request_origin(request)
        return await self._begin(thread_id, lambda one, audience: self._conversations.compact(one, audience, origin))

    async def _run_command(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadShellCommandParams)
        if not params.command.strip():
            raise RefusedError(INVALID_REQUEST, "command must not be empty")
        command = UserCommand(params.command, params.timeout_ms)
        origin = request_origin(request)
        return await self._begin(
            params.thread_id,
            lambda one, audience: self._conversations.run_user_command(one, command, audience, origin),
        )

    async def _begin(
        self, thread_id: str, submit: Callable[[Conversation, AppTurn], ConversationTurn]
    ) -> RequestAnswer:
        """Begin a turn without input of the user."""
        conversation, session, _ = await self._sessions.require(thread_id)
        audience = AppTurn(session, self._conversations, self._questions)
        turn = submit(conversation, audience)
        if audience.refusal is not None:
            raise RefusedError(INVALID_REQUEST, audience.refusal.message)
        audience.attach(turn)
        session.begin(turn.id, None)
        return RequestAnswer()

    async def _inject(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.ThreadInjectItemsParams)
        conversation, _, _ = await self._sessions.require(params.thread_id)
        await self._sessions.announced(conversation)
        try:
            await self._conversations.requests.serve(conversation, "inject-items", encode(InjectItems(params.items)))
        except RequestFailedError as error:
            raise RefusedError(INVALID_REQUEST, str(error)) from None
        return RequestAnswer()

    async def _take_up(
        self,
        conversation_id: ConversationId,
        params: wire.ThreadResumeParams | wire.ThreadForkParams,
        *,
        ephemeral: bool = False,
    ) -> ThreadSession:
        conversation = self._conversations.take_up(
            conversation_id, None, conversation_overrides(params, self._channel.skill_roots), ephemeral=ephemeral
        )
        try:
            session = await self._sessions.open(conversation)
        except RefusedError:
            if conversation.state == "closed":
                self._sessions.forget(conversation)
            raise
        if session.settings is not None:
            session.settings = session.settings.overridden(params)
        return session

    async def _number_of(self, conversation_id: ConversationId, turn_id: str) -> int:
        """Return the number of a turn, from 1."""
        history = await self._saved.history(conversation_id)
        for number, turn in enumerate(history.turns, 1):
            if turn.id == turn_id:
                return number
        raise RefusedError(INVALID_REQUEST, f"turn not found: {turn_id}")

    def _begun(self, session: ThreadSession, thread: Thread) -> RequestAnswer:
        assert session.settings is not None

        def announce() -> None:
            self._channel.tell(ThreadStarted(thread=msgspec.structs.replace(thread, turns=[])))
            session.release()
            self._pursuit.follow(session)

        return RequestAnswer(encode(session.settings.told(thread)), announce)

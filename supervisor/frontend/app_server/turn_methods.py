"""The methods about turns: start one, say more in it, interrupt it."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from greenroom.protocol.app_server.item import TextInput
from greenroom.protocol.app_server.reviews import ReviewStartParams, ReviewStartResponse
from greenroom.protocol.app_server.turns import (
    TurnInterruptParams,
    TurnStartParams,
    TurnStartResponse,
    TurnSteerParams,
    TurnSteerResponse,
)
from greenroom.protocol.failure import Failure
from greenroom.protocol.jsonrpc import INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.turn import ConversationTurn
from greenroom.supervisor.frontend.app_server.call_origin import request_origin
from greenroom.supervisor.frontend.app_server.forms.turn_form import begun_turn
from greenroom.supervisor.frontend.app_server.questions import Questions
from greenroom.supervisor.frontend.app_server.review import review_request
from greenroom.supervisor.frontend.app_server.thread_session import OwnInput
from greenroom.supervisor.frontend.app_server.thread_sessions import ThreadSessions
from greenroom.supervisor.frontend.app_server.turn_audience import AppTurn, SteeringAudience
from greenroom.supervisor.frontend.app_server.user_input import title_of_input, worker_items
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

OVERLOADED: Final = -32001
"""The code by which clients know that they may try again."""


class TurnMethods:
    """These methods on one connection."""

    def __init__(self, conversations: Conversations, sessions: ThreadSessions, questions: Questions) -> None:
        self._questions = questions
        self._conversations = conversations
        self._sessions = sessions
        self.methods: Mapping[str, AnswerMethod] = {
            "turn/start": self._start,
            "turn/steer": self._steer,
            "turn/interrupt": self._interrupt,
            "review/start": self._review,
        }

    async def _start(self, request: Request) -> RequestAnswer:
        params = decode(request, TurnStartParams)
        _refuse_unsupported(params)
        items = worker_items(params.input)
        conversation, session, settings = await self._sessions.require(params.thread_id)
        settings = settings.changed(self._sessions.channel.placed(params))
        audience = AppTurn(session, self._conversations, self._questions)
        schema = None if params.output_schema is None else encode(params.output_schema)
        turn = self._conversations.submit(
            conversation, items, audience, settings.for_worker(), schema, request_origin(request)
        )
        if audience.refusal is not None:
            raise _overloaded(audience.refusal)
        audience.attach(turn)
        session.begin(turn.id, OwnInput(params.input, params.client_user_message_id))
        session.settings = settings
        conversation.title = conversation.title or title_of_input(params.input)
        return RequestAnswer(encode(TurnStartResponse(turn=begun_turn(turn.id))))

    async def _review(self, request: Request) -> RequestAnswer:
        params = decode(request, ReviewStartParams)
        if params.delivery not in (None, "inline"):
            raise RefusedError(INVALID_REQUEST, f"delivery `{params.delivery}` of `review/start` is not supported")
        wanted, subject = review_request(params.target)
        conversation, session, settings = await self._sessions.require(params.thread_id)
        audience = AppTurn(session, self._conversations, self._questions)
        items = worker_items([TextInput(text=wanted)])
        turn = self._conversations.submit(
            conversation, items, audience, settings.for_worker(), origin=request_origin(request)
        )
        if audience.refusal is not None:
            raise _overloaded(audience.refusal)
        audience.attach(turn)
        session.begin(turn.id, None)
        session.review(turn.id, subject)
        return RequestAnswer(encode(ReviewStartResponse(review_thread_id=session.id, turn=begun_turn(turn.id))))

    async def _steer(self, request: Request) -> RequestAnswer:
        params = decode(request, TurnSteerParams)
        items = worker_items(params.input)
        conversation, session, settings = await self._sessions.require(params.thread_id)
        running = conversation.running
        if running is None or running.items is None:
            raise RefusedError(INVALID_REQUEST, "no active turn to steer")
        if running.id != params.expected_turn_id:
            text = f"expected active turn id `{params.expected_turn_id}` but found `{running.id}`"
            raise RefusedError(INVALID_REQUEST, text)
        if not conversation.takes_steering:
            raise RefusedError(INVALID_REQUEST, "cannot steer this turn: others wait behind it, or it is being stopped")
        said = OwnInput(params.input, params.client_user_message_id)
        audience = SteeringAudience(session, self._conversations, self._questions, running.id)
        turn = self._conversations.steer(conversation, items, audience, settings.for_worker(), request_origin(request))
        if audience.refusal is not None:
            raise _overloaded(audience.refusal)
        audience.attach(turn)
        session.begin(turn.id, said)
        session.say(running.id, said)
        outcome = await audience.accepted
        if isinstance(outcome, Failure):
            raise RefusedError(INVALID_REQUEST, f"failed to steer turn: {outcome.message}")
        return RequestAnswer(encode(TurnSteerResponse(turn_id=outcome)))

    async def _interrupt(self, request: Request) -> RequestAnswer:
        params = decode(request, TurnInterruptParams)
        conversation, _, _ = await self._sessions.require(params.thread_id)
        turn = _active_turn(conversation, params.turn_id)
        return RequestAnswer(then=partial(self._conversations.interrupt, turn))


def _active_turn(conversation: Conversation, turn_id: str) -> ConversationTurn:
    """Return a turn that runs or waits. Raises `RefusedError`, whose text names the one that runs."""
    turns = (conversation.running, *(conversation.queue or ()))
    active: list[ConversationTurn] = [turn for turn in turns if turn is not None and turn.items is not None]
    if not active:
        raise RefusedError(INVALID_REQUEST, "no active turn to interrupt")
    for turn in active:
        if turn.id == turn_id:
            return turn
    raise RefusedError(INVALID_REQUEST, f"expected active turn id {turn_id} but found {active[0].id}")


def _refuse_unsupported(params: TurnStartParams) -> None:
    if params.tool_output is not None:
        raise RefusedError(INVALID_REQUEST, "`toolOutput` of `turn/start` is not supported")


def _overloaded(failure: Failure) -> RefusedError:
    return RefusedError(OVERLOADED, failure.message, {"codex_error_info": "server_overloaded"})

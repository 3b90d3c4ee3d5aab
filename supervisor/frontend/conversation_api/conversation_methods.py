"""The methods for live conversations: start one, send messages, subscribe, interrupt."""

import asyncio
from collections.abc import Mapping
from functools import partial

import msgspec

from greenroom.protocol import conversation_api as api
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId, uuid7
from greenroom.protocol.internal.worker.operations import TurnSettings
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.conversation_api.listener_buffer import ListenerBuffer
from greenroom.supervisor.frontend.conversation_api.turn_audience import ApiTurn, OpeningAudience
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer


class Configured(msgspec.Struct, frozen=True):
    """What clients get to know of a conversation that has started: members of its event `session_configured`."""

    session_id: str
    model: str
    rollout_path: str
    reasoning_effort: str | None = None

    def result(self) -> dict[str, object]:
        """Return it as the result of the method that has started the conversation."""
        result: dict[str, object] = {
            "conversationId": self.session_id,
            "model": self.model,
            "rolloutPath": self.rollout_path,
        }
        return result if self.reasoning_effort is None else {**result, "reasoningEffort": self.reasoning_effort}


class ConversationMethods:
    """The live conversations of one client."""

    def __init__(self, conversations: Conversations, elicitor: Elicitor) -> None:
        self._conversations = conversations
        self._elicitor = elicitor
        self._channel = elicitor.channel
        self._buffers: dict[ConversationId, ListenerBuffer] = {}
        self._subscriptions: dict[str, ListenerBuffer] = {}
        self.methods: Mapping[str, AnswerMethod] = {
            "newConversation": self._new,
            "sendUserMessage": self._send_message,
            "sendUserTurn": self._send_turn,
            "interruptConversation": self._interrupt,
            "addConversationListener": self._add_listener,
            "removeConversationListener": self._remove_listener,
        }

    async def bring_up(self, conversation: Conversation, failed: str) -> bytes:
        """Start a conversation and return its event `session_configured`. Raises `RefusedError`.

        `failed` is the beginning of the error's text, unless the configuration is at fault.
        """
        self._buffer(conversation)
        outcome: asyncio.Future[bytes | Failure] = asyncio.get_running_loop().create_future()

        def settle(what: bytes | Failure) -> None:
            if not outcome.done():
                outcome.set_result(what)

        self._conversations.bring_up(conversation, OpeningAudience(self._channel, settle, settle))
        result = await outcome
        if isinstance(result, bytes):
            return result
        if self._conversations.find(conversation.id) is None:
            self.forget(conversation.id)
        if result.kind == "config":
            raise RefusedError(INVALID_REQUEST, f"error deriving config: {result.message}")
        raise RefusedError(INTERNAL_ERROR, f"{failed}: {result.message}")

    def forget(self, conversation_id: ConversationId) -> None:
        """Forget a conversation that has ended, and its listeners."""
        buffer = self._buffers.pop(conversation_id, None)
        self._subscriptions = {name: other for name, other in self._subscriptions.items() if other is not buffer}

    async def _new(self, request: Request) -> RequestAnswer:
        params = decode(request, api.NewConversation)
        params = msgspec.structs.replace(params, cwd=self._channel.directory(params.cwd))
        conversation = self._conversations.open(params.overrides(), keep=True)
        configured = await self.bring_up(conversation, "error creating conversation")
        return RequestAnswer(encode(msgspec.json.decode(configured, type=Configured).result()))

    async def _send_message(self, request: Request) -> RequestAnswer:
        params = decode(request, api.SendUserMessage)
        return self._send(params.id, params.items, None)

    async def _send_turn(self, request: Request) -> RequestAnswer:
        params = decode(request, api.SendUserTurn)
        return self._send(params.id, params.items, params.settings())

    async def _interrupt(self, request: Request) -> RequestAnswer:
        conversation = self._find(decode(request, api.Addressee).id)
        buffer = self._buffer(conversation)
        turn = conversation.foremost
        buffer.count_submission()
        if turn is not None:
            ended = asyncio.Event()
            buffer.on_end(turn.id, ended.set)
            self._conversations.interrupt(turn)
            await ended.wait()
        return RequestAnswer(encode({"abortReason": "interrupted"}))

    async def _add_listener(self, request: Request) -> RequestAnswer:
        buffer = self._buffer(self._find(decode(request, api.Addressee).id))
        subscription = uuid7()
        self._subscriptions[subscription] = buffer
        return RequestAnswer(encode({"subscriptionId": subscription}), buffer.subscribe)

    async def _remove_listener(self, request: Request) -> RequestAnswer:
        subscription = str(decode(request, api.RemoveListener).subscription_id)
        buffer = self._subscriptions.pop(subscription, None)
        if buffer is None:
            raise RefusedError(INVALID_REQUEST, f"subscription not found: {subscription}")
        buffer.unsubscribe()
        return RequestAnswer()

    def _send(
        self, conversation_id: ConversationId, items: tuple[api.InputItem, ...], settings: TurnSettings | None
    ) -> RequestAnswer:
        conversation = self._find(conversation_id)
        if not items:
            return RequestAnswer()
        return RequestAnswer(then=partial(self._submit, conversation, api.input_items(items), settings))

    def _submit(self, conversation: Conversation, items: bytes, settings: TurnSettings | None) -> None:
        turn = ApiTurn(conversation.id, self._buffer(conversation), self._elicitor, self._conversations)
        turn.attach(self._conversations.steer(conversation, items, turn, settings))

    def _find(self, conversation_id: ConversationId) -> Conversation:
        conversation = self._conversations.find(conversation_id)
        if conversation is None:
            raise RefusedError(INVALID_REQUEST, f"conversation not found: {conversation_id}")
        return conversation

    def _buffer(self, conversation: Conversation) -> ListenerBuffer:
        buffer = self._buffers.get(conversation.id)
        if buffer is None:
            buffer = self._buffers[conversation.id] = ListenerBuffer(conversation.id, self._channel)
        if buffer not in conversation.observers:
            self._conversations.observe(conversation, buffer)
        return buffer

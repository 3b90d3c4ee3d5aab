"""Accepts tool calls: checks their arguments, finds their conversation, and keeps the open ones."""

import logging
from collections.abc import Callable

from greenroom.protocol.choices import EventMode, EventSetting
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import uuid7
from greenroom.protocol.jsonrpc import Request, RequestId, Response
from greenroom.protocol.mcp.arguments import ArgumentError, CodexArguments, parse_codex, parse_reply
from greenroom.protocol.mcp.handshake import CallToolParams, failure_result, started_result
from greenroom.protocol.mcp.stateless import RoundParams
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.conversations.state.started_turns import StartedTurns
from greenroom.supervisor.conversations.state.turn import Client
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.elicitor import Elicitor
from greenroom.supervisor.frontend.mcp.calls.handshake_call import (
    ToolCall,
    items_of,
    overrides_of,
    title_of_prompt,
    tool_call_origin,
    unknown_session,
)
from greenroom.supervisor.frontend.mcp.calls.multi_round_call import MultiRoundCall
from greenroom.supervisor.frontend.mcp.calls.multi_round_calls import MultiRoundCalls
from greenroom.supervisor.frontend.mcp.calls.parted_calls import PartedCalls
from greenroom.supervisor.frontend.mcp.calls.relayed_requests import RelayedRequests
from greenroom.supervisor.frontend.mcp.calls.started_turn import StartedTurn
from greenroom.supervisor.frontend.mcp.calls.tasks import Tasks

log = logging.getLogger(__name__)


class ToolCallHandler:
    """The open tool calls of one connection."""

    def __init__(
        self,
        channel: ClientChannel,
        conversations: Conversations,
        elicitor: Elicitor,
        tasks: Tasks,
        parted: PartedCalls,
        events: EventSetting,
        most_calls: int,
        has_room: Callable[[], bool],
        state_key: Callable[[], bytes],
        started: StartedTurns | None,
        relayed: RelayedRequests,
    ) -> None:
        """`most_calls` may be open at a time, if there is room among those of all clients (`has_room`).

        `parted` are the calls of all clients that wait for their next round.

        `state_key` returns the key that signs state which clients return.

        `started` is `None` where clients have no tools to ask after a turn that no call waits for.

        `relayed` takes the requests that continue what waits in another host.
        """
        self._started = started
        self._mine: set[StartedTurn] = set()
        self._channel = channel
        self._conversations = conversations
        self._elicitor = elicitor
        self._events = events
        self._most_calls, self._has_room = most_calls, has_room
        self._rounds = MultiRoundCalls(
            channel, conversations, tasks, parted, elicitor, state_key, self.answered, relayed
        )
        self._tasks = tasks
        self._open: dict[RequestId, ToolCall | MultiRoundCall] = {}
        self._tools = {"codex": self._codex, "codex-reply": self._codex_reply}

    @property
    def open_calls(self) -> int:
        """Number of calls that wait for their answer or their next round, or continue as tasks."""
        return len(self._open) + self._rounds.parted + self._tasks.live

    @property
    def is_at_rest(self) -> bool:
        """Whether neither a call is open nor a turn under way that this connection has started and may ask about."""
        return not self.open_calls and not self._mine

    def call(self, request: Request, params: CallToolParams) -> None:
        """Start a call of an existing tool, or continue it. It is answered exactly once, now or later."""
        if isinstance(params, RoundParams) and params.request_state is not None:
            self._resume(request, params, params.request_state)
            return
        under_way = self.open_calls + (0 if self._started is None else self._started.under_way)
        if under_way >= self._most_calls or not self._has_room():
            whose = f"{under_way} calls" if under_way >= self._most_calls else "as many calls as all clients may have"
            text = f"Codex runtime error: overloaded: {whose} are open already. Try again later."
            self._conversations.counters.refuse("turn")
            self._channel.respond(request, failure_result(Failure("overloaded", text)))
            return
        try:
            self._tools[params.name](request, params)
        except ArgumentError as error:
            result = failure_result(Failure("config", str(error)))
            self._channel.respond(request, result)

    def cancel(self, request_id: RequestId) -> None:
        """Interrupt the call with this id, if it is open; it is then answered as aborted."""
        call = self._open.get(request_id)
        if call is not None and call.turn is not None:
            self._conversations.interrupt(call.turn)

    def answer(self, response: Response) -> bool:
        """Handle the client's answer to a question; return whether the question exists."""
        return self._elicitor.answer(response)

    def client_left(self, client: Client) -> None:
        """Let what outlives a client go on without it, if it is the one of this connection."""
        if client is self._channel:
            self._rounds.leave()
            for audience in tuple(self._mine):
                audience.lose_client()
            self._mine.clear()

    def answered(self, request: Request) -> None:
        """Note that a request was answered."""
        del self._open[request.id]

    def _resume(self, request: Request, params: RoundParams, state: str) -> None:
        envelope = self._channel.peer.envelope_of(request)
        call = None if envelope is None else self._rounds.resume(request, envelope, params, state)
        if call is not None:
            self._open[request.id] = call
            call.proceed(params.input_responses or {})

    def _codex(self, request: Request, params: CallToolParams) -> None:
        arguments = parse_codex(bytes(params.arguments))
        if arguments.wait is False:
            self._check_started()
        conversation = self._conversations.open(self._overrides(arguments), title_of_prompt(arguments))
        if arguments.wait is False:
            self._start(request, params, conversation, items_of(arguments))
            return
        self._submit(request, params, conversation, items_of(arguments), str(request.id))

    def _overrides(self, arguments: CodexArguments) -> bytes:
        return overrides_of(arguments, self._channel.directory(arguments.cwd))

    def _codex_reply(self, request: Request, params: CallToolParams) -> None:
        arguments = parse_reply(bytes(params.arguments))
        conversation_id = arguments.conversation_id
        if arguments.wait is False:
            self._check_started()
        conversation = self._conversations.find_or_resume(conversation_id)
        if arguments.wait is False:
            self._start(request, params, conversation, items_of(arguments), unknown_session(arguments))
            return
        self._submit(request, params, conversation, items_of(arguments), uuid7(), unknown_session(arguments))

    def _check_started(self) -> None:
        """Raise `ArgumentError` where the client could never learn how a started turn ends."""
        if self._started is None:
            raise ArgumentError("`wait: false` needs the tools about conversations, which are off (`session_tools`).")

    def _start(
        self,
        request: Request,
        params: CallToolParams,
        conversation: Conversation,
        items: bytes,
        unknown_text: str = "",
    ) -> None:
        """Start a turn that no call waits for, and answer the request at once."""
        if self._started is None:
            return
        audience = StartedTurn(
            conversation.id,
            request.id,
            self._channel,
            self._conversations,
            self._started,
            self._elicitor,
            unknown_text,
            self._mine.discard,
            can_ask=self._channel.peer.envelope_of(request) is None,
        )
        turn = self._conversations.submit(conversation, items, audience, origin=tool_call_origin(request, params))
        if audience.refused is not None:
            self._channel.respond(request, failure_result(audience.refused, conversation.id))
            return
        audience.attach(turn)
        self._mine.add(audience)
        self._channel.respond(request, started_result(conversation.id, turn.id))

    @property
    def _event_mode(self) -> EventMode:
        if self._events == "auto":
            return "off" if self._channel.peer.drops_events else "full"
        return self._events

    def _submit(
        self,
        request: Request,
        params: CallToolParams,
        conversation: Conversation,
        items: bytes,
        event_id: str,
        unknown_text: str = "",
    ) -> None:
        call: ToolCall | MultiRoundCall
        envelope = self._channel.peer.envelope_of(request)
        if envelope is not None and isinstance(params, RoundParams):
            call = self._rounds.begin(request, envelope, params, conversation.id, unknown_text)
        else:
            call = ToolCall(
                request,
                conversation.id,
                event_id,
                self._conversations,
                self._elicitor,
                self.answered,
                self._event_mode,
                params.progress_token,
                unknown_text,
            )
        self._open[request.id] = call
        turn = self._conversations.submit(conversation, items, call, origin=tool_call_origin(request, params))
        if request.id in self._open:  # else it was refused, and answered
            call.turn = turn

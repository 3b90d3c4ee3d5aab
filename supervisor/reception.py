"""Takes tool calls in: checks their arguments, finds their conversation, and keeps those that are open."""

import logging
from collections.abc import Callable
from typing import TypeAlias

from protocol.arguments import ArgumentError, parse_codex, parse_reply
from protocol.ids import uuid7
from protocol.jsonrpc import Request, RequestId, Response
from protocol.mcp import CallToolParams, Failure, failure_result
from protocol.mcp_peer import McpPeer
from supervisor.calls import ToolCall, items_of, overrides_of, title_of, unknown_session
from supervisor.conversation import Conversation
from supervisor.conversations import Conversations
from supervisor.elicitor import Elicitor
from supervisor.options import EventMode

ProgressToken: TypeAlias = int | str | None

log = logging.getLogger(__name__)


class Reception:
    """The open tool calls of one connection."""

    def __init__(
        self,
        peer: McpPeer,
        write: Callable[[bytes], None],
        conversations: Conversations,
        elicitor: Elicitor,
        event_mode: EventMode,
        most_calls: int,
    ) -> None:
        self._peer = peer
        self._write = write
        self._conversations = conversations
        self._elicitor = elicitor
        self._event_mode = event_mode
        self._most_calls = most_calls
        self._open: dict[RequestId, ToolCall] = {}
        self._tools = {"codex": self._codex, "codex-reply": self._codex_reply}

    @property
    def open_calls(self) -> int:
        """How many calls wait for their answer."""
        return len(self._open)

    def call(self, request: Request, params: CallToolParams) -> None:
        """Start a call of a tool that exists. It is answered exactly once, now or later."""
        if len(self._open) >= self._most_calls:
            text = f"Codex runtime error: overloaded: {len(self._open)} calls are open already. Try again later."
            self._write(self._peer.respond(request, failure_result(Failure("overloaded", text))))
            return
        try:
            token = None if params.meta is None else params.meta.progress_token
            self._tools[params.name](request, bytes(params.arguments), token)
        except ArgumentError as error:
            result = failure_result(Failure("config", str(error)))
            self._write(self._peer.respond(request, result))

    def cancel(self, request_id: RequestId) -> None:
        """End the call with this id, if it is open; it is then answered as one that was aborted."""
        call = self._open.get(request_id)
        if call is not None and call.turn is not None:
            self._conversations.interrupt(call.turn)

    def answer(self, response: Response) -> bool:
        """Take the client's answer to a question; return whether there is such a question."""
        return self._elicitor.answer(response)

    def _codex(self, request: Request, raw_arguments: bytes, token: ProgressToken) -> None:
        arguments = parse_codex(raw_arguments)
        conversation = self._conversations.open(overrides_of(arguments), title_of(arguments))
        self._submit(request, conversation, items_of(arguments), str(request.id), token)

    def _codex_reply(self, request: Request, raw_arguments: bytes, token: ProgressToken) -> None:
        arguments = parse_reply(raw_arguments)
        conversation = self._conversations.find_or_resume(arguments.conversation_id)
        self._submit(request, conversation, items_of(arguments), uuid7(), token, unknown_session(arguments))

    def _submit(
        self,
        request: Request,
        conversation: Conversation,
        items: bytes,
        event_id: str,
        token: ProgressToken,
        unknown_text: str = "",
    ) -> None:
        modern = self._peer.envelope_of(request) is not None
        call = ToolCall(
            request,
            conversation.id,
            event_id,
            self._peer,
            self._write,
            self._answered,
            None if modern else self._elicitor,
            self._conversations.decide,
            "off" if modern else self._event_mode,
            token,
            unknown_text,
        )
        self._open[request.id] = call
        call.turn = self._conversations.submit(conversation, items, call)

    def _answered(self, call: ToolCall) -> None:
        del self._open[call.request.id]

"""Answers calls of tools that start no turn: decodes the arguments, and turns results and errors into answers."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

import msgspec

from greenroom.protocol.errors import ConfigError, GreenroomError
from greenroom.protocol.failure import Failure
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.protocol.mcp.arguments import PARSE_PREFIX
from greenroom.protocol.mcp.handshake import CallToolParams, failure_result
from greenroom.supervisor.frontend.request_queue import RequestAnswer, RequestQueue

T = TypeVar("T", bound=msgspec.Struct)
ToolOutcome: TypeAlias = tuple[str, dict[str, object]]
"""A result as text, and in its structured form."""
AnswerToolCall: TypeAlias = Callable[[Request, CallToolParams], None]


def tool_handler(requests: RequestQueue, work: Callable[[T], Awaitable[ToolOutcome]], form: type[T]) -> AnswerToolCall:
    """Return the handler of a tool whose result is that of `work`, which may raise `GreenroomError`."""

    def call(request: Request, params: CallToolParams) -> None:
        async def answer(_: Request) -> RequestAnswer:
            try:
                text, structured = await work(read_arguments(params, form))
            except GreenroomError as error:
                return RequestAnswer(failure_result(Failure(error.kind, str(error))))
            return RequestAnswer(encode({"content": [{"type": "text", "text": text}], "structuredContent": structured}))

        requests.start(request, answer)

    return call


def read_arguments(params: CallToolParams, form: type[T]) -> T:
    """Decode the arguments of a call. Raises `ConfigError`."""
    arguments = bytes(params.arguments)
    try:
        return msgspec.json.decode(b"{}" if arguments == b"null" else arguments, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{PARSE_PREFIX}{error}") from None

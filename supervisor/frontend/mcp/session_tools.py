"""The tools about conversations (`greenroom.protocol.mcp.session_tools`)."""

import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from greenroom.protocol.errors import ConfigError, GreenroomError, SessionBusyError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.protocol.mcp.arguments import PARSE_PREFIX
from greenroom.protocol.mcp.handshake import CallToolParams, Failure, failure_result
from greenroom.protocol.mcp.session_tools import (
    MOST_LISTED,
    MOST_PASSAGES,
    ForkArguments,
    ListArguments,
    ReadArguments,
    SteerArguments,
    ThreadArguments,
)
from greenroom.supervisor.conversations.conversation import Conversation
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.saved_conversations import SavedConversations, read_id
from greenroom.supervisor.frontend.mcp.steer_call import SteerCall
from greenroom.supervisor.frontend.mcp.transcript import body
from greenroom.supervisor.frontend.request_queue import Answer, RequestQueue

if TYPE_CHECKING:
    from greenroom.sessions.index import SessionEntry

MAX_PASSAGE: Final = 8000
"""Characters of a passage that `codex-read` returns."""

T = TypeVar("T", bound=msgspec.Struct)
ToolOutcome = tuple[str, dict[str, object]]
"""A result as text, and in its structured form."""


class SessionTools:
    """These tools on one connection."""

    def __init__(
        self,
        channel: ClientChannel,
        requests: RequestQueue,
        library: SavedConversations,
        conversations: Conversations,
    ) -> None:
        self._channel = channel
        self._requests = requests
        self._saved = library
        self._conversations = conversations
        self.tools: Mapping[str, Callable[[Request, CallToolParams], None]] = {
            "codex-list": partial(self._start, self._list, ListArguments),
            "codex-read": partial(self._start, self._read, ReadArguments),
            "codex-interrupt": partial(self._start, self._interrupt, ThreadArguments),
            "codex-close": partial(self._start, self._close, ThreadArguments),
            "codex-steer": self._steer,
            "codex-compact": self._compact,
            "codex-fork": partial(self._start, self._fork, ForkArguments),
        }

    def _start(
        self, work: Callable[[T], Awaitable[ToolOutcome]], form: type[T], request: Request, params: CallToolParams
    ) -> None:
        async def answer(_: Request) -> Answer:
            try:
                text, structured = await work(_decode(params, form))
            except GreenroomError as error:
                return Answer(failure_result(Failure(error.kind, str(error))))
            return Answer(encode({"content": [{"type": "text", "text": text}], "structuredContent": structured}))

        self._requests.start(request, answer)

    async def _list(self, arguments: ListArguments) -> ToolOutcome:
        try:
            limit = min(max(arguments.limit, 1), MOST_LISTED)
            found, more = await self._saved.page(limit, arguments.cursor)
        except ValueError:
            raise ConfigError(f"{PARSE_PREFIX}unknown cursor {arguments.cursor!r}") from None
        listed = {entry.id for entry in found}
        unsaved = [] if arguments.cursor else [one for one in self._saved.unsaved() if one.id not in listed]
        told = [*(_unsaved(one) for one in reversed(unsaved)), *(self._told(entry) for entry in found)]
        lines = [f"{one['threadId']}  {one['state']}  {one.get('cwd', '')}  {one.get('title', '')}" for one in told]
        text = "\n".join(lines) or "There are no conversations yet."
        return text, {"conversations": told, **({} if more is None else {"nextCursor": more})}

    async def _read(self, arguments: ReadArguments) -> ToolOutcome:
        story = await self._saved.story(read_id(arguments.thread_id))
        left_out = max(0, len(story.told) - min(max(arguments.last, 1), MOST_PASSAGES))
        text = body(story.told[left_out:], left_out, MAX_PASSAGE)
        return text, {**self._told(story.entry), "turns": story.turns, "leftOut": left_out}

    async def _interrupt(self, arguments: ThreadArguments) -> ToolOutcome:
        conversation_id = read_id(arguments.thread_id)
        conversation = await self._here(conversation_id)
        count = 0 if conversation is None else self._conversations.interrupt_all(conversation)
        return f"{count} turns are being stopped.", {"threadId": conversation_id, "interrupted": count}

    async def _close(self, arguments: ThreadArguments) -> ToolOutcome:
        conversation_id = read_id(arguments.thread_id)
        conversation = await self._here(conversation_id)
        count = 0 if conversation is None else self._conversations.release(conversation)
        return "The conversation is being closed.", {"threadId": conversation_id, "interrupted": count}

    async def _fork(self, arguments: ForkArguments) -> ToolOutcome:
        origin = read_id(arguments.thread_id)
        made = await self._saved.fork(origin, arguments.turn)
        text = f"Conversation {made.conversation_id} begins with {made.turns} turns of {origin}."
        return text, {"threadId": made.conversation_id, "forkedFrom": origin, "turns": made.turns}

    def _steer(self, request: Request, params: CallToolParams) -> None:
        try:
            arguments = _decode(params, SteerArguments)
            conversation = self._saved.here(read_id(arguments.thread_id))
            if conversation is None or conversation.running is None or conversation.queued:
                text = "No turn can be steered in this conversation: none runs, or others wait. Use codex-reply."
                raise SessionBusyError(text)
        except GreenroomError as error:
            self._channel.respond(request, failure_result(Failure(error.kind, str(error))))
            return
        call = self._side_call(request, conversation.id, "The agent has taken it in.")
        items = encode([{"type": "text", "text": arguments.prompt}])
        call.turn = self._conversations.steer(conversation, items, call)

    def _compact(self, request: Request, params: CallToolParams) -> None:
        try:
            conversation_id = read_id(_decode(params, ThreadArguments).thread_id)
        except GreenroomError as error:
            self._channel.respond(request, failure_result(Failure(error.kind, str(error))))
            return
        call = self._side_call(request, conversation_id, "The history has been compacted.")
        call.turn = self._conversations.compact(self._conversations.find_or_resume(conversation_id), call)

    def _side_call(self, request: Request, conversation_id: ConversationId, done: str) -> SteerCall:
        return SteerCall(request, conversation_id, done, self._channel, self._conversations)

    async def _here(self, conversation_id: ConversationId) -> Conversation | None:
        """Return a conversation of this run, `None` for one that is only saved.

        Raises `SessionUnknownError`, or `SessionBusyError` where another process has it open.
        """
        conversation = self._saved.here(conversation_id)
        if conversation is not None:
            return conversation
        entry = (await self._saved.story(conversation_id)).entry
        if entry.writer is not None:
            raise SessionBusyError(f"Conversation {conversation_id} is open in process {entry.writer}; stop it there.")
        return None

    def _told(self, entry: "SessionEntry") -> dict[str, object]:
        facts = {"title": entry.title, "cwd": entry.cwd, "model": entry.model}
        return {
            "threadId": entry.id,
            **{name: fact for name, fact in facts.items() if fact},
            "state": self._saved.standing(entry),
            "ageSeconds": round(max(0.0, time.time() - entry.changed_at), 1),
        }


def _unsaved(conversation: Conversation) -> dict[str, object]:
    place = conversation.placement
    facts = {"title": conversation.title, "cwd": place and place.cwd, "model": place and place.model}
    return {
        "threadId": conversation.id,
        **{name: fact for name, fact in facts.items() if fact},
        "state": conversation.state,
    }


def _decode(params: CallToolParams, form: type[T]) -> T:
    arguments = bytes(params.arguments)
    try:
        return msgspec.json.decode(b"{}" if arguments == b"null" else arguments, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{PARSE_PREFIX}{error}") from None

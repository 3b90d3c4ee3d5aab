"""The tools about conversations (`greenroom.protocol.mcp.session_tools`)."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from greenroom.protocol.approval import AnyQuestion
from greenroom.protocol.errors import ConfigError, GreenroomError, SessionBusyError
from greenroom.protocol.failure import Failure
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.protocol.mcp.arguments import PARSE_PREFIX
from greenroom.protocol.mcp.handshake import CallToolParams, failure_result
from greenroom.protocol.mcp.session_tools import (
    MOST_LISTED,
    MOST_PASSAGES,
    ForkArguments,
    ListArguments,
    ReadArguments,
    SteerArguments,
    ThreadArguments,
)
from greenroom.supervisor.conversations.jobs.worktrees import WorktreeRelease
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.client_channel import ClientChannel
from greenroom.supervisor.frontend.mcp.calls.handshake_call import tool_call_origin
from greenroom.supervisor.frontend.mcp.calls.steer_call import SteerCall
from greenroom.supervisor.frontend.mcp.saved_conversations import read_conversation_id
from greenroom.supervisor.frontend.mcp.tools.followed_turns import FollowedTurns
from greenroom.supervisor.frontend.mcp.tools.passages import MAX_PASSAGE, Cursor, last_page, next_page
from greenroom.supervisor.frontend.mcp.tools.tool_requests import (
    AnswerToolCall,
    ToolOutcome,
    read_arguments,
    tool_handler,
)
from greenroom.supervisor.frontend.mcp.tools.turn_status import turn_in_words
from greenroom.supervisor.frontend.mcp.transcript import body
from greenroom.supervisor.frontend.request_queue import RequestQueue

if TYPE_CHECKING:
    from greenroom.sessions.index import SessionEntry, Story


class SessionTools:
    """These tools on one connection."""

    def __init__(
        self,
        channel: ClientChannel,
        requests: RequestQueue,
        turns: FollowedTurns,
        conversations: Conversations,
        waits: Callable[[AnyQuestion], bool],
        worktrees: WorktreeRelease,
    ) -> None:
        """`waits` tells which questions can be decided elsewhere than by the client."""
        self._waits = waits
        self._channel = channel
        self._turns = turns
        self._saved = turns.saved
        self._conversations = conversations
        self._worktrees = worktrees
        self.tools: Mapping[str, AnswerToolCall] = {
            "codex-list": tool_handler(requests, self._list, ListArguments),
            "codex-read": tool_handler(requests, self._read, ReadArguments),
            "codex-interrupt": tool_handler(requests, self._interrupt, ThreadArguments),
            "codex-close": tool_handler(requests, self._close, ThreadArguments),
            "codex-steer": self._steer,
            "codex-compact": self._compact,
            "codex-fork": tool_handler(requests, self._fork, ForkArguments),
        }

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
        conversation_id = read_conversation_id(arguments.thread_id)
        most = min(max(arguments.last, 1), MOST_PASSAGES)
        since = Cursor.parse(arguments.cursor) if arguments.cursor else None
        story = await self._turns.story(conversation_id)
        told = [] if story is None else story.told
        page = last_page(told, most) if since is None else next_page(told, since.passages, most)
        status = self._turns.status(conversation_id, "", story)
        cursor = Cursor(page.end, self._last_question(conversation_id))
        text = body(page.told, page.begin if since is None else 0, MAX_PASSAGE)
        if since is not None and not page.told:
            text = "Nothing new.\n"
        if since is not None or not (status is None or status.is_over):
            text += f"\nCursor: {cursor}\n"
        if status is not None and status.state != "completed":
            text += f"\n{turn_in_words(status)}\n"
        approvals = self._turns.approvals(conversation_id)
        facts: dict[str, object] = {
            **self._facts(conversation_id, story),
            **({"approvals": approvals} if approvals else {}),
            "turns": 0 if story is None else story.turns,
            "leftOut": page.begin,
            "cursor": str(cursor),
            "more": page.end < len(told),
        }
        return text, facts if status is None else {**facts, "turn": msgspec.to_builtins(status)}

    def _last_question(self, conversation_id: ConversationId) -> int:
        conversation = self._saved.here(conversation_id)
        pulse = None if conversation is None else conversation.pulse
        return 0 if pulse is None else max((one.serial for one in pulse.questions.values()), default=0)

    def _facts(self, conversation_id: ConversationId, story: "Story | None") -> dict[str, object]:
        if story is not None:
            return {**self._told(story.entry), "usage": self._turns.usage(conversation_id, story)}
        conversation = self._saved.here(conversation_id)
        if conversation is not None:
            return _unsaved(conversation)
        return {"threadId": conversation_id, "state": self._turns.state_of(conversation_id, None)}

    async def _interrupt(self, arguments: ThreadArguments) -> ToolOutcome:
        conversation_id = read_conversation_id(arguments.thread_id)
        conversation = await self._here(conversation_id)
        count = 0 if conversation is None else self._conversations.interrupt_all(conversation)
        return f"{count} turns are being stopped.", {"threadId": conversation_id, "interrupted": count}

    async def _close(self, arguments: ThreadArguments) -> ToolOutcome:
        conversation_id = read_conversation_id(arguments.thread_id)
        conversation = await self._here(conversation_id)
        count = 0 if conversation is None else self._conversations.release(conversation)
        told: dict[str, object] = {"threadId": conversation_id, "interrupted": count}
        released = await self._worktrees.release(conversation_id)
        if released is None:
            return "The conversation is being closed.", told
        went = "was removed" if released.removed else f"is kept, since {released.reason}"
        text = f"The conversation is being closed. Its worktree {released.path} {went}."
        return text, {**told, "worktree": msgspec.to_builtins(released)}

    async def _fork(self, arguments: ForkArguments) -> ToolOutcome:
        origin = read_conversation_id(arguments.thread_id)
        made = await self._saved.fork(origin, arguments.turn)
        text = f"Conversation {made.conversation_id} begins with {made.turns} turns of {origin}."
        return text, {"threadId": made.conversation_id, "forkedFrom": origin, "turns": made.turns}

    def _steer(self, request: Request, params: CallToolParams) -> None:
        try:
            arguments = read_arguments(params, SteerArguments)
            conversation = self._saved.here(read_conversation_id(arguments.thread_id))
            if conversation is None or conversation.running is None or conversation.queued:
                text = "No turn can be steered in this conversation: none runs, or others wait. Use codex-reply."
                raise SessionBusyError(text)
        except GreenroomError as error:
            self._channel.respond(request, failure_result(Failure(error.kind, str(error))))
            return
        call = self._side_call(request, conversation.id, "The agent has taken it in.")
        items = encode([{"type": "text", "text": arguments.prompt}])
        call.turn = self._conversations.steer(conversation, items, call, origin=tool_call_origin(request, params))

    def _compact(self, request: Request, params: CallToolParams) -> None:
        try:
            conversation_id = read_conversation_id(read_arguments(params, ThreadArguments).thread_id)
        except GreenroomError as error:
            self._channel.respond(request, failure_result(Failure(error.kind, str(error))))
            return
        call = self._side_call(request, conversation_id, "The history has been compacted.")
        conversation = self._conversations.find_or_resume(conversation_id)
        call.turn = self._conversations.compact(conversation, call, tool_call_origin(request, params))

    def _side_call(self, request: Request, conversation_id: ConversationId, done: str) -> SteerCall:
        return SteerCall(request, conversation_id, done, self._channel, self._conversations, self._waits)

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
            "state": self._saved.state_of(entry),
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

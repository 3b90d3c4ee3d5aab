"""The tool `codex-wait`: returns once a turn has ended, a question waits or something was said, or when time is up."""

import asyncio
import math
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from greenroom.protocol.errors import ConfigError, SessionUnknownError
from greenroom.protocol.ids import ConversationId
from greenroom.protocol.jsonrpc import Request, RequestId
from greenroom.protocol.mcp.arguments import PARSE_PREFIX
from greenroom.protocol.mcp.handshake import CallToolParams
from greenroom.protocol.mcp.session_tools import LONGEST_WAIT, WaitArguments, WaitReason
from greenroom.supervisor.conversations.state.conversation import Conversation
from greenroom.supervisor.frontend.mcp.saved_conversations import read_conversation_id
from greenroom.supervisor.frontend.mcp.tools.followed_turns import FollowedTurns, GrowthMark
from greenroom.supervisor.frontend.mcp.tools.passages import Cursor
from greenroom.supervisor.frontend.mcp.tools.tool_requests import AnswerToolCall, ToolOutcome, tool_handler
from greenroom.supervisor.frontend.mcp.tools.turn_status import live_turn, turn_in_words
from greenroom.supervisor.frontend.request_queue import RequestQueue

if TYPE_CHECKING:
    from greenroom.sessions.index import Story

PAUSE: Final = 0.2
"""Seconds between two looks at a session file that may have grown."""
_TEXTS: Final[Mapping[WaitReason, str]] = {
    "ended": "No such turn runs or waits any more.",
    "asked": "A question waits for the user.",
    "said": "There is something new; `codex-read` returns it.",
    "time": "Nothing has happened yet; call `codex-wait` again.",
}


class WaitTool:
    """This tool on one connection."""

    def __init__(self, requests: RequestQueue, turns: FollowedTurns) -> None:
        self._requests = requests
        self._turns = turns
        self._waits: dict[RequestId, _Wait] = {}
        self.tools: Mapping[str, AnswerToolCall] = {"codex-wait": self._call}

    def cancel(self, request_id: RequestId) -> None:
        """Let the call with this id return at once, if it waits."""
        waiting = self._waits.get(request_id)
        if waiting is not None:
            waiting.give_up()

    def _call(self, request: Request, params: CallToolParams) -> None:
        tool_handler(self._requests, partial(self._wait, request.id), WaitArguments)(request, params)

    async def _wait(self, request_id: RequestId, arguments: WaitArguments) -> ToolOutcome:
        conversation_id = read_conversation_id(arguments.thread_id)
        cursor = Cursor.parse(arguments.cursor) if arguments.cursor else None
        if not math.isfinite(arguments.seconds):
            raise ConfigError(f"{PARSE_PREFIX}`seconds` is no number of seconds")
        seconds = min(max(arguments.seconds, 0.0), LONGEST_WAIT)
        conversation = self._turns.here(conversation_id)
        reason: WaitReason = "ended"
        if conversation is not None:
            waiting = _Wait(self._turns, conversation, arguments.call_id, cursor)
            self._waits[request_id] = waiting
            try:
                reason = await waiting.until(asyncio.get_running_loop().time() + seconds)
            finally:
                del self._waits[request_id]
        return await self._outcome(conversation_id, arguments.call_id, reason)

    async def _outcome(self, conversation_id: ConversationId, call_id: str, reason: WaitReason) -> ToolOutcome:
        story = None if reason in ("asked", "time") else await self._turns.story(conversation_id)
        status = self._turns.status(conversation_id, call_id, story)
        if status is None and reason == "ended" and call_id:
            raise SessionUnknownError(f"Conversation {conversation_id} has no turn {call_id[:100]!r}.")
        text = _TEXTS[reason] if status is None else f"{_TEXTS[reason]} {turn_in_words(status)}"
        if status is not None and status.content:
            text = f"{text}\n\n{status.content}"
        state = self._turns.state_of(conversation_id, story)
        approvals = self._turns.approvals(conversation_id)
        found: dict[str, object] = {
            "threadId": conversation_id,
            "state": state,
            "reason": reason,
            **({"approvals": approvals} if approvals else {}),
        }
        return text, found if status is None else {**found, "turn": msgspec.to_builtins(status)}


class _Wait:
    """One wait for a conversation of this run."""

    def __init__(self, turns: FollowedTurns, conversation: Conversation, call_id: str, cursor: Cursor | None) -> None:
        self._turns = turns
        self._conversation = conversation
        self._call_id = call_id
        self._cursor = cursor
        self._growth = GrowthMark()
        self._happened = asyncio.Event()
        self._is_given_up = False

    def give_up(self) -> None:
        """Wait no longer."""
        self._is_given_up = True
        self._happened.set()

    async def until(self, deadline: float) -> WaitReason:
        """Wait until there is a reason to return, at most until `deadline` by the loop's clock."""
        with ExitStack() as watching:
            watching.enter_context(self._conversation.watched(self._happened.set))
            while True:
                self._happened.clear()
                reason = await self._reason()
                if reason is not None:
                    return reason
                try:
                    async with asyncio.timeout_at(deadline):
                        await self._happened.wait()
                        if self._cursor is not None:
                            await asyncio.sleep(PAUSE)  # a turn that talks fast would have its file read all the time
                except TimeoutError:
                    return await self._reason() or "time"

    async def _reason(self) -> WaitReason | None:
        conversation, cursor = self._conversation, self._cursor
        if live_turn(conversation, self._call_id) is None:
            return "ended"
        pulse = conversation.pulse
        told = 0 if cursor is None else cursor.questions
        if pulse is not None and any(question.serial > told for question in pulse.questions.values()):
            return "asked"
        if cursor is not None and self._growth.has_changed(conversation):
            story = await self._turns.story(conversation.id)
            if _has_more(story, cursor):
                return "said"
        return "time" if self._is_given_up else None


def _has_more(story: "Story | None", cursor: Cursor) -> bool:
    return story is not None and len(story.told) > cursor.passages

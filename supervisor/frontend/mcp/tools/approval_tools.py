"""The tools about approvals (`greenroom.protocol.mcp.approval_tools`), where the settings allow them.

They are tools of clients. The model of a conversation cannot call them: it is offered only its own tools and those of
its MCP servers, and nothing that a conversation starts is connected to this server as a client.
"""

import time
from collections.abc import Callable, Mapping

from greenroom.protocol.ids import ConversationId
from greenroom.protocol.mcp.approval_tools import DecideArguments, ListApprovalsArguments
from greenroom.supervisor.conversations.approval_facts import (
    LONG,
    SHORT,
    approval_in_words,
    approval_members,
    decide_approval,
    of_conversation,
)
from greenroom.supervisor.conversations.approvals import Approvals
from greenroom.supervisor.conversations.registry import Conversations
from greenroom.supervisor.frontend.mcp.saved_conversations import read_conversation_id
from greenroom.supervisor.frontend.mcp.tools.tool_requests import AnswerToolCall, ToolOutcome, tool_handler
from greenroom.supervisor.frontend.request_queue import RequestQueue


class ApprovalTools:
    """These tools on one connection."""

    def __init__(
        self, requests: RequestQueue, approvals: Approvals, conversations: Conversations, client: Callable[[], str]
    ) -> None:
        """`client` names the client, for the log."""
        self._approvals = approvals
        self._conversations = conversations
        self._client = client
        self.tools: Mapping[str, AnswerToolCall] = {
            "codex-approvals": tool_handler(requests, self._list, ListApprovalsArguments),
            "codex-approve": tool_handler(requests, self._decide, DecideArguments),
        }

    async def _list(self, arguments: ListApprovalsArguments) -> ToolOutcome:
        if arguments.approval_id:
            waiting, measure = [self._approvals.find(arguments.approval_id)], LONG
        else:
            waiting, measure = self._approvals.waiting(), SHORT
        if arguments.thread_id:
            waiting = of_conversation(waiting, read_conversation_id(arguments.thread_id))
        now = time.time()
        told = [approval_members(asked, self._title(asked.turn.conversation_id), now, measure) for asked in waiting]
        text = "\n\n".join(map(approval_in_words, told)) or "Nothing waits for a decision."
        return text, {"approvals": told}

    async def _decide(self, arguments: DecideArguments) -> ToolOutcome:
        by = f"the tool of {self._client()}"
        asked = decide_approval(self._approvals, arguments.approval_id, arguments.decision, arguments.note, by)
        conversation_id = asked.turn.conversation_id
        found: dict[str, object] = {"approvalId": asked.id, "threadId": conversation_id, "decision": arguments.decision}
        return f"Decided: {arguments.decision}.", found

    def _title(self, conversation_id: ConversationId) -> str | None:
        conversation = self._conversations.find(conversation_id)
        return None if conversation is None else conversation.title

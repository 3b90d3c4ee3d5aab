"""Decides whether a remote tool may be called: the rules, the user's answer, and remembered approvals."""

import asyncio

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.approval import ToolQuestion
from greenroom.protocol.items import JsonObject
from greenroom.protocol.policy import ApprovalPolicy, SandboxMode
from greenroom.workers.approval.remote_tools import NOBODY_TO_ASK, REJECTED_BY_USER, decide_call
from greenroom.workers.mcp.questions import ServerQuestions
from greenroom.workers.mcp.tools.calls import RemoteCallError
from greenroom.workers.mcp.tools.tool import RemoteTool, ToolIdentity


class ToolApproval:
    """One conversation's rules for remote tools, and the user's approvals so far."""

    def __init__(self, policy: ApprovalPolicy, sandbox: SandboxMode, questions: ServerQuestions) -> None:
        self._policy: ApprovalPolicy = policy
        self._sandbox: SandboxMode = sandbox
        self._questions = questions
        self._approved: set[ToolIdentity] = set()

    async def admit(self, tool: RemoteTool, server: McpServer, call_id: str, arguments: JsonObject | None) -> None:
        """Return if a call is permitted. Raises `RemoteCallError` if it is not."""
        verdict = decide_call(
            self._policy,
            self._sandbox,
            server.approval_mode(tool.name),
            tool.hints,
            remembered=tool.identity in self._approved,
        )
        if verdict == "refuse":
            raise RemoteCallError(f"{NOBODY_TO_ASK}; {_advice(tool)}")
        if verdict == "ask":
            await self._put(tool, call_id, arguments)

    async def _put(self, tool: RemoteTool, call_id: str, arguments: JsonObject | None) -> None:
        """Ask the user. An answer that aborts stops the whole turn."""
        question = ToolQuestion(
            call_id=call_id, server=tool.server, tool=tool.name, description=tool.description, arguments=arguments
        )
        answer = await self._questions.put(f"mcp_tool_call_approval_{call_id}", question)
        if answer.verdict == "abort":
            raise asyncio.CancelledError("the user stopped the turn")
        if answer.verdict == "denied":
            raise RemoteCallError(REJECTED_BY_USER if answer.reason is None else f"{answer.reason}; {_advice(tool)}")
        if answer.verdict == "approved_for_session":
            self._approved.add(tool.identity)


def _advice(tool: RemoteTool) -> str:
    return f"`mcp_servers.{tool.server}.default_tools_approval_mode` says which calls need approval"

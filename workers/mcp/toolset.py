"""The tools of the user's MCP servers, as offered and called by one conversation."""

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from greenroom.config.settings import Settings
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.protocol.mcp.elicitation import Decision
from greenroom.workers.conversation.turn import ToolResult
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.mcp.approval import ToolApproval
from greenroom.workers.mcp.elicitation import Elicitation, ElicitationReply, answer_alone, pass_on
from greenroom.workers.mcp.questions import ServerQuestions
from greenroom.workers.mcp.servers import Bearers, McpServers, ServerContext, Variables
from greenroom.workers.tools.types import Emit

_AS_JSON: Final = 6, 5
"""The factor by which the output may exceed its text, because it is sent as JSON."""


class McpToolset:
    """Belongs to one conversation with servers in its settings. Nothing is started before the first `ready`."""

    def __init__(
        self,
        settings: Settings,
        present: Callable[[], Settings],
        variables: Variables,
        ask: Callable[[bytes], Awaitable[Decision]],
        emit: Emit,
        turn_id: Callable[[], TurnId],
        bearers: Bearers | None = None,
    ) -> None:
        """`settings` are the conversation's; `present` returns those of the running turn."""
        self._present = present
        questions = ServerQuestions(ask, emit, turn_id)
        self._put = pass_on(questions)
        setting = ServerContext(
            variables=variables,
            environment=os.environ,
            cwd=os.getcwd(),
            emit=emit,
            bearer=bearers,
            elicit=self._elicit,
            wire=settings.provider.wire_api,
            approval=ToolApproval(settings.approval_policy, settings.sandbox_policy.type, questions),
        )
        self._servers = McpServers(settings.mcp_servers, setting, settings.faulty_mcp_servers)

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits for servers to start."""
        return self._servers.is_waiting

    async def ready(self) -> None:
        """Wait for the servers that a request needs. Raises `StartError`."""
        await self._servers.ready()

    def definitions(self) -> Sequence[JsonObject]:
        """Return the declarations for the model; the same object until something has changed."""
        return self._servers.definitions()

    def has(self, call: JsonObject) -> bool:
        """Tell whether a call of the model is for one of these tools."""
        return self._servers.knows(str(call["name"]), _namespace(call))

    async def call(self, call: JsonObject, emit: Emit) -> ToolResult:
        """Call a tool, and return its output for the model."""
        budget = OutputBudget.of_tokens(self._present().tool_output_token_limit)
        more, of = _AS_JSON
        output = await self._servers.call(
            str(call["name"]), str(call["call_id"]), str(call["arguments"]), emit, _namespace(call)
        )
        return output.within(OutputBudget(budget.size * more // of, budget.unit)).output

    def kill_all(self) -> None:
        """Kill every program of the servers. Does not wait."""
        self._servers.kill_all()

    async def close(self) -> None:
        """End the servers; no process is left behind."""
        await self._servers.close()

    async def _elicit(self, question: Elicitation) -> ElicitationReply:
        now = self._present()
        alone = answer_alone(now.approval_policy, now.sandbox_policy, question)
        return await self._put(question) if alone is None else alone


def _namespace(call: JsonObject) -> str | None:
    found = call.get("namespace")
    return found if isinstance(found, str) else None

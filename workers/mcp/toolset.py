"""The tools of the user's MCP servers, as one conversation offers and calls them."""

import os
from collections.abc import Sequence
from typing import Final, Protocol

from greenroom.config.settings import Settings
from greenroom.protocol.ids import TurnId
from greenroom.protocol.items import JsonObject
from greenroom.workers.exec.capture import OutputBudget
from greenroom.workers.mcp.approval import ToolApproval
from greenroom.workers.mcp.elicitation import ElicitationQuestion, ElicitationReply, answer_alone, pass_on
from greenroom.workers.mcp.inventory import ServerInventory
from greenroom.workers.mcp.questions import ServerQuestions
from greenroom.workers.mcp.servers import McpServers, ServerContext
from greenroom.workers.model.credentials.bearer import ProviderCredentials
from greenroom.workers.timings import ToolTimer
from greenroom.workers.tools.types import Ask, Emit, ToolResult

_AS_JSON: Final = 6, 5
"""By what share the output may be longer than its text, because it travels in JSON."""


class RunningTurn(Protocol):
    """The turn that runs, or ran last (`greenroom.workers.conversation.current_turn.CurrentTurn`)."""

    @property
    def id(self) -> TurnId:
        """Its id."""
        ...

    @property
    def settings(self) -> Settings:
        """Its settings."""
        ...


class McpToolset:
    """Belongs to one conversation with servers in its settings. Nothing is started before the first `ready`."""

    def __init__(
        self,
        turn: RunningTurn,
        credentials: ProviderCredentials,
        ask: Ask,
        emit: Emit,
    ) -> None:
        """Servers are started with the present settings; the limits of a call are those of its turn."""
        self._turn = turn
        settings = turn.settings
        questions = ServerQuestions(ask, emit, lambda: turn.id)
        self._put = pass_on(questions)
        setting = ServerContext(
            variables=credentials.variables,
            environment=os.environ,
            cwd=os.getcwd(),
            emit=emit,
            bearer=credentials.mcp_bearer,
            elicit=self._elicit,
            wire=settings.provider.wire_api,
            approval=ToolApproval(settings.approval_policy, settings.sandbox_policy.type, questions),
        )
        self._servers = McpServers(settings.mcp_servers, setting, settings.faulty_mcp_servers)
        self.inventory = ServerInventory(settings.mcp_servers, settings.faulty_mcp_servers, self._servers)
        """What clients ask of the servers themselves."""

    @property
    def is_waiting(self) -> bool:
        """Whether a request waits for servers to start."""
        return self._servers.is_waiting

    async def ready(self) -> None:
        """Wait until the servers are there that a request waits for. Raises `StartError`."""
        await self._servers.ready()

    def definitions(self) -> Sequence[JsonObject]:
        """Return what the model is told; the same object until something has changed."""
        return self._servers.definitions()

    def has(self, call: JsonObject) -> bool:
        """Tell whether a call of the model is for one of these tools."""
        return self._servers.knows(str(call["name"]), _namespace(call))

    async def call(
        self, turn_id: TurnId, call: JsonObject, emit: Emit, measured: ToolTimer | None = None
    ) -> ToolResult:
        """Call a tool, and return what the model reads of its output. `measured` is told what becomes of it."""
        budget = OutputBudget.of_tokens(self._turn.settings.tool_output_token_limit)
        more, of = _AS_JSON
        output = await self._servers.call(
            turn_id, str(call["name"]), str(call["call_id"]), str(call["arguments"]), emit, _namespace(call)
        )
        kept = output.within(OutputBudget(budget.size * more // of, budget.unit)).output
        if measured is not None:
            measured.end = "ok" if output.success else "failed"
            measured.output_size = len(kept) if isinstance(kept, str) else 0
        return kept

    def kill_all(self) -> None:
        """Kill every program of the servers. Does not wait."""
        self._servers.kill_all()

    async def close(self) -> None:
        """Let the servers leave; no process is left behind."""
        await self._servers.close()

    async def _elicit(self, question: ElicitationQuestion) -> ElicitationReply:
        settings = self._turn.settings
        alone = answer_alone(settings.approval_policy, settings.sandbox_policy, question)
        return await self._put(question) if alone is None else alone


def _namespace(call: JsonObject) -> str | None:
    found = call.get("namespace")
    return found if isinstance(found, str) else None

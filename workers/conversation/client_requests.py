"""What clients ask of a conversation beside its turns: each request on a task of its own, answered exactly once."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from greenroom.protocol.errors import ErrorKind, GreenroomError
from greenroom.protocol.internal import requests as wire
from greenroom.protocol.internal.worker.notices import RequestServed
from greenroom.protocol.internal.worker.operations import ServeRequest
from greenroom.workers.conversation.conversation import OpenedConversation
from greenroom.workers.conversation.goal.goal import GoalChange

if TYPE_CHECKING:
    from greenroom.workers.mcp.inventory import ServerInventory

log = logging.getLogger(__name__)

OnServed: TypeAlias = Callable[[RequestServed, bytes], None]

_encode: Final = msgspec.json.Encoder().encode


class RemoteError(GreenroomError):
    """An MCP server is not there, or has refused something."""


class ServedRequests:
    """Belongs to one conversation. `close` it."""

    def __init__(self, conversation: OpenedConversation, turn_runs: Callable[[], bool], on_served: OnServed) -> None:
        """`turn_runs` tells whether a turn runs; `on_served` is called once for each request that is not withdrawn."""
        self._conversation = conversation
        self._turn_runs = turn_runs
        self._on_served = on_served
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, operation: ServeRequest, params: bytes) -> None:
        """Serve a request."""
        task = asyncio.get_running_loop().create_task(self._serve(operation, params), name=operation.name)
        self._tasks[operation.number] = task
        task.add_done_callback(lambda _: self._tasks.pop(operation.number, None))

    def withdraw(self, number: int) -> None:
        """Break a request off, if it is still under way."""
        task = self._tasks.get(number)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Break all of them off."""
        open_now = list(self._tasks.values())
        for task in open_now:
            task.cancel()
        await asyncio.gather(*open_now, return_exceptions=True)

    async def _serve(self, operation: ServeRequest, params: bytes) -> None:
        result, failure = b"", None
        error_kind: ErrorKind | None = None
        try:
            result = await self._result(operation, params)
        except GreenroomError as error:
            failure, error_kind = str(error), error.kind
        except Exception as error:
            log.exception("the request %s broke", operation.name)
            failure = f"internal error ({type(error).__name__}); the log on standard error has more"
            error_kind = "internal"
        served = RequestServed(
            conversation_id=operation.conversation_id,
            incarnation=operation.incarnation,
            number=operation.number,
            failure=failure,
            error_kind=error_kind,
        )
        self._on_served(served, result)

    async def _result(self, operation: ServeRequest, params: bytes) -> bytes:
        match operation.name:
            case "inject-items":
                items = [bytes(item) for item in msgspec.json.decode(params, type=wire.InjectItems).items]
                self._conversation.injected.put(items, at_once=not self._turn_runs())
                return b"{}"
            case "get-goal":
                return _encode(wire.GoalResult(self._conversation.goal.present))
            case "set-goal":
                wanted_goal = msgspec.json.decode(params, type=wire.SetGoal)
                change = GoalChange(wanted_goal.objective, wanted_goal.status, wanted_goal.token_budget)
                return _encode(wire.GoalResult(self._conversation.goal.change(change)))
            case "clear-goal":
                return _encode(wire.ClearedGoal(self._conversation.goal.clear()))
            case "mcp-status":
                return _encode(await self._status(msgspec.json.decode(params, type=wire.McpStatus)))
            case "mcp-call":
                call = msgspec.json.decode(params, type=wire.McpCall)
                return await self._ask(
                    lambda inventory: inventory.call(call.server, call.tool, call.arguments), call.server
                )
            case "mcp-resource":
                wanted = msgspec.json.decode(params, type=wire.McpResource)
                return await self._ask(
                    lambda inventory: inventory.read_resource(wanted.server, wanted.uri), wanted.server
                )

    async def _status(self, wanted: wire.McpStatus) -> wire.McpServerStates:
        from greenroom.workers.mcp.inventory import faulty_servers
        from greenroom.workers.mcp.tools.calls import RemoteCallError

        inventory = self._inventory
        if inventory is None:
            return wire.McpServerStates(faulty_servers(self._conversation.settings.faulty_mcp_servers))
        try:
            return wire.McpServerStates(await inventory.servers(wanted.server, with_resources=wanted.with_resources))
        except RemoteCallError as error:
            raise RemoteError(str(error)) from None

    async def _ask(self, request: "Callable[[ServerInventory], Awaitable[object]]", server: str) -> bytes:
        from greenroom.workers.mcp.tools.calls import RemoteCallError

        inventory = self._inventory
        if inventory is None:
            raise RemoteError(f"unknown MCP server '{server}'")
        try:
            return _encode(await request(inventory))
        except RemoteCallError as error:
            raise RemoteError(str(error)) from None

    @property
    def _inventory(self) -> "ServerInventory | None":
        return self._conversation.tools.inventory

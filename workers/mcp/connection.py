"""One server of one conversation, from its start to its end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import mcp_types as types
from mcp.client import ClientRequestContext, ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter, ValidationError

from greenroom.config.tables.servers import McpServer
from greenroom.protocol.approval import FormQuestion, UrlQuestion
from greenroom.protocol.items import JsonObject
from greenroom.protocol.version import __version__
from greenroom.workers.mcp.answer import read_tool_result
from greenroom.workers.mcp.dispatcher import AS_IT_CAME, TolerantDispatcher
from greenroom.workers.mcp.elicitation import Elicit, ElicitationQuestion, ElicitationReply
from greenroom.workers.mcp.fault import error_text
from greenroom.workers.mcp.limits import RequestDeadlines
from greenroom.workers.mcp.tools.calls import RemoteCallError, UnheardError
from greenroom.workers.mcp.tools.resource_tools import ResourceMethod
from greenroom.workers.mcp.tools.tool import RemoteTool, read_tools
from greenroom.workers.mcp.transport.interface import McpTransport
from greenroom.workers.mcp.transport.launch import StartupError

log = logging.getLogger(__name__)

PAGES: Final = 100
"""Pages of a listing; a server that always has another is not listened to for ever."""
ROUNDS: Final = 10
"""How often a server may ask for more input in one call."""
_STATE_PAUSE: Final = 0.25

_CLIENT: Final = types.Implementation(name="codex-mcp-client", title="Codex", version=__version__)
_RESULT: Final[TypeAdapter[types.CallToolResult | types.InputRequiredResult]] = TypeAdapter(
    types.CallToolResult | types.InputRequiredResult
)
_OLD_ONLY: Final = frozenset({types.METHOD_NOT_FOUND, types.UNSUPPORTED_PROTOCOL_VERSION})
"""Answers to `initialize` of servers that know only the later way, without a handshake."""


class McpConnection:
    """`run` it in a task of its own; everything else may be called from any task meanwhile."""

    def __init__(self, name: str, server: McpServer, transport: McpTransport, elicit: Elicit) -> None:
        self._name = name
        self._server = server
        self._transport = transport
        self._elicit = elicit
        self._limits = RequestDeadlines()
        self._session: ClientSession | None = None
        self._dispatcher: TolerantDispatcher | None = None
        self._questions: set[asyncio.Task[ElicitationReply]] = set()
        self._stopping = False
        self._is_gone = False
        self.has_started = False
        self.is_up = False
        """Whether the server has started, and is there as far as is known."""
        self._is_stale = False
        self._wake = asyncio.Event()
        self._fresh = asyncio.Event()
        self._fresh.set()
        self.tools: list[RemoteTool] = []
        """As listed last."""
        self.has_resources = False
        """Whether the server has said so in its greeting."""

    async def run(self, on_tools: Callable[[], Awaitable[None]]) -> None:
        """Start, then serve until `stop`, or until the server has gone.

        `on_tools` is called at first and whenever the tools have changed. Raises `StartupError`. Cancelling it ends the
        server too.
        """
        failure: str | None = None
        async with AsyncExitStack() as stack:
            try:
                async with self._limits.limit(self._server.startup_timeout):
                    failure = await self._start(stack)
            except TimeoutError:
                failure = f"request timed out: it was not ready after {self._server.startup_timeout:g} s"
            if failure is None:
                self.has_started = self.is_up = True
                await on_tools()
                watching = asyncio.create_task(self._watch(), name=f"mcp-{self._name}-watch")
                try:
                    await self._serve(on_tools)
                finally:
                    self.is_up = False
                    self._fresh.set()
                    watching.cancel()
                    await asyncio.gather(watching, return_exceptions=True)
        if failure is not None:
            raise StartupError(failure)

    def stop(self) -> None:
        """Have `run` end the server and return."""
        self._stopping = True
        self._wake.set()

    async def fresh(self) -> None:
        """Wait until no change that the server has announced is still to be fetched."""
        await self._fresh.wait()

    async def call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        """Return the `CallToolResult`. Raises `RemoteCallError`; a cancelled call is cancelled at the server too."""
        return await self._bounded(lambda: self._call(tool, arguments))

    async def resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        """Return the result of a method about resources. Raises `RemoteCallError`."""
        return await self._bounded(lambda: self._resources(method, params))

    async def _bounded(self, request: Callable[[], Awaitable[JsonObject]]) -> JsonObject:
        """Make a request within the time that a call may take."""
        limit = self._server.tool_timeout_sec
        try:
            async with self._limits.limit(limit):
                return await request()
        except TimeoutError as error:
            raise RemoteCallError(f"timed out after {limit:g} s") from error
        except MCPError as error:
            if self._transport.expired:
                self._give_up()
                raise UnheardError("the server has ended the session") from error
            raise RemoteCallError(await self._explained(error)) from error
        except ValidationError as error:
            raise RemoteCallError("the server asked for more input in a form that is not known") from error
        except asyncio.CancelledError:
            self._withdraw()
            raise

    # Starting

    async def _start(self, stack: AsyncExitStack) -> str | None:
        """Connect and list the tools; return why that failed."""
        for pause in (*self._transport.pauses, None):
            failure = await self._attempt(stack)
            if failure is None:
                return None
            failure = await self._transport.cause() or failure
            if pause is None or not self._transport.may_pass:
                return failure
            await asyncio.sleep(pause)
        raise AssertionError("the last attempt has no pause")

    async def _attempt(self, stack: AsyncExitStack) -> str | None:
        try:
            async with AsyncExitStack() as attempt:
                read_stream, write_stream = await attempt.enter_async_context(self._transport.open())
                self._dispatcher = dispatcher = TolerantDispatcher(read_stream, write_stream)
                session = ClientSession(
                    dispatcher=dispatcher,
                    elicitation_callback=self._ask,
                    message_handler=self._receive,
                    client_info=_CLIENT,
                )
                self._session = await attempt.enter_async_context(session)
                failure = await self._greet(session)
                if failure is None:
                    stack.push_async_exit(attempt.pop_all())
                return failure
        except Exception as error:
            return error_text(error)

    async def _greet(self, session: ClientSession) -> str | None:
        try:
            try:
                await session.initialize()
            except MCPError as error:
                if error.code not in _OLD_ONLY:
                    raise
                await session.discover()
            capabilities = session.server_capabilities
            self.has_resources = capabilities is not None and capabilities.resources is not None
            self.tools = await self._listing()
        except MCPError as error:
            return await self._explained(error)
        except (ValidationError, RuntimeError) as error:
            return error_text(error)
        return None

    # Serving

    async def _serve(self, on_tools: Callable[[], Awaitable[None]]) -> None:
        while not (self._stopping or self._is_gone):
            await self._wake.wait()
            self._wake.clear()
            while self._is_stale and not (self._stopping or self._is_gone):
                self._is_stale = False
                await self._refresh()
                await on_tools()
            self._fresh.set()

    async def _watch(self) -> None:
        await self._transport.gone()
        self._give_up()

    def _give_up(self) -> None:
        """Have `run` return, since the server has gone."""
        self.is_up = False
        self._is_gone = True
        self._wake.set()

    async def _refresh(self) -> None:
        try:
            async with self._limits.limit(self._server.startup_timeout):
                self.tools = await self._listing()
        except (MCPError, ValidationError, TimeoutError) as error:
            log.warning("the MCP server %r has other tools, but did not list them: %s", self._name, error_text(error))
            if self._transport.expired:
                self._give_up()

    async def _listing(self) -> list[RemoteTool]:
        assert self._session is not None, "the connection is open"
        assert self._dispatcher is not None, "the connection is open"
        entries: list[object] = []
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(PAGES):
            params = None if cursor is None else types.PaginatedRequestParams(cursor=cursor)
            page = await self._session.list_tools(params=params)
            entries += self._dispatcher.page
            cursor = page.next_cursor
            if cursor is None or cursor in seen:
                break
            seen.add(cursor)
        return read_tools(self._name, entries)

    async def _receive(self, message: object) -> None:
        if isinstance(message, types.ToolListChangedNotification):
            self._is_stale = True
            self._fresh.clear()
            self._wake.set()

    # Calls

    async def _call(self, tool: str, arguments: JsonObject | None) -> JsonObject:
        assert self._session is not None, "the connection is open"
        session = self._session
        responses: types.InputResponses | None = None
        state: str | None = None
        for _ in range(ROUNDS):
            params = types.CallToolRequestParams(
                name=tool, arguments=arguments, input_responses=responses, request_state=state
            )
            # Not `call_tool`, which would check the result against a schema that may be hostile.
            result = await session.send_request(types.CallToolRequest(params=params), _RESULT)
            if isinstance(result, types.CallToolResult):
                return read_tool_result((result.meta or {}).get(AS_IT_CAME))
            responses, state = await self._responses(result.input_requests or {}), result.request_state
        raise RemoteCallError(f"the server asked for more input {ROUNDS} times")

    async def _resources(self, method: ResourceMethod, params: JsonObject) -> JsonObject:
        assert self._session is not None, "the connection is open"
        session = self._session
        result: types.Result
        try:
            if method == "resources/read":
                result = await session.read_resource(str(params["uri"]))
            else:
                page = types.PaginatedRequestParams.model_validate(params)
                ask = session.list_resources if method == "resources/list" else session.list_resource_templates
                result = await ask(params=page)
        except (ValidationError, RuntimeError) as error:  # the latter where the server wants more input first
            raise RemoteCallError("the server answered in a form that is not known") from error
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def _responses(self, requests: types.InputRequests) -> types.InputResponses | None:
        assert self._session is not None, "the connection is open"
        if not requests:
            await asyncio.sleep(_STATE_PAUSE)
            return None
        responses: types.InputResponses = {}
        for key, request in requests.items():
            context = ClientRequestContext(session=self._session, request_id=key)
            response = await self._session.dispatch_input_request(context, request)
            if isinstance(response, types.ErrorData):
                raise MCPError.from_error_data(response)
            responses[key] = response
        return responses

    async def _explained(self, error: MCPError) -> str:
        if error.code == types.CONNECTION_CLOSED:
            return await self._transport.cause() or "the connection is closed"
        return self._transport.refusal or error.message

    # Questions of the server

    async def _ask(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the client passes it by name
        params: types.ElicitRequestParams,
    ) -> types.ElicitResult:
        question = asyncio.create_task(self._put(self._question(params)))
        self._questions.add(question)
        try:
            with self._limits.standing_still():
                # `wait` tells a question that was withdrawn from a server that does not want to know any longer.
                await asyncio.wait((question,))
        finally:
            question.cancel()
            self._questions.discard(question)
        reply = ElicitationReply("cancel") if question.cancelled() else question.result()
        return types.ElicitResult.model_validate({"action": reply.action, "content": reply.content})

    async def _put(self, question: ElicitationQuestion) -> ElicitationReply:
        return await self._elicit(question)

    def _question(self, params: types.ElicitRequestParams) -> ElicitationQuestion:
        if isinstance(params, types.ElicitRequestURLParams):
            return UrlQuestion(
                server=self._name, message=params.message, url=params.url, elicitation_id=params.elicitation_id
            )
        schema = params.requested_schema
        return FormQuestion(server=self._name, message=params.message, form=dict(schema))

    def _withdraw(self) -> None:
        """Let go of the questions of a call that was given up."""
        for question in self._questions:
            question.cancel()

"""An application of the official client that knows tasks gets its results by them, and hears of changes on a stream."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import pytest
from mcp import Client
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp_types import CallToolResult, Request, Result
from mcp_types.version import LATEST_MODERN_VERSION
from pydantic import BaseModel, ConfigDict, Field

from greenroom.demo.script import CommandStep, Quote, Text, rule
from tests.conformance.oracle import Oracle
from tests.conformance.test_official_client import Events, converse, judge, text_of
from tests.support.model import Gate
from tests.support.modern import Modern
from tests.support.stage import Stage

T = TypeVar("T", bound=BaseModel)
AT_ONCE = "\n[greenroom]\ntask_after_s = 0\n"


class TaskHandle(Result):
    """What a call returns that goes on as a task."""

    result_type: Literal["task"] = Field("task", alias="resultType")
    task_id: str = Field(alias="taskId")


class TaskState(BaseModel):
    """How a task stands."""

    model_config = ConfigDict(extra="allow")

    status: str
    input_requests: dict[str, Any] = Field(default={}, alias="inputRequests")
    result: CallToolResult | None = None


class TaskRequest(Request[dict[str, Any], str]):
    """One of the extension's requests."""


class Tasks(ClientExtension):
    """Sees calls through that have become tasks, and says yes to whatever is asked."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, on_task: Callable[[], None]) -> None:
        """`on_task` is called with each call that has become a task."""
        self.seen: list[str] = []
        self._on_task = on_task

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=TaskHandle, resolve=self._resolve)]

    async def _resolve(self, handle: TaskHandle, context: ClaimContext) -> CallToolResult:
        self._on_task()
        async with asyncio.timeout(20):
            while True:
                state = await self._ask(context, "tasks/get", handle.task_id, TaskState)
                self.seen.append(state.status)
                if state.result is not None:
                    return state.result
                if state.input_requests:
                    answers = {key: {"action": "accept", "content": {}} for key in state.input_requests}
                    await self._ask(context, "tasks/update", handle.task_id, Result, inputResponses=answers)
                await asyncio.sleep(0.05)

    @staticmethod
    async def _ask(context: ClaimContext, method: str, task_id: str, result: type[T], **more: object) -> T:
        request = TaskRequest(method=method, params={"taskId": task_id, **more})
        return await context.session.send_request(request, result)


@pytest.mark.parametrize("mode", ["auto", LATEST_MODERN_VERSION])
def test_an_application_gets_its_result_by_a_task(stage: Stage, engine: str, mode: str) -> None:
    gate = Gate()  # what is asked before a call has become a task is asked in the way of calls
    stage.play(rule("touch", [gate.wait, CommandStep(("touch", "it"))], [Quote("Done: ")]), more=AT_ONCE)
    tasks = Tasks(lambda: stage.model.open(gate))

    async def never(context: object, params: object) -> Any:
        raise AssertionError("a task asks in its own way")

    async def scene(client: Client, events: Events) -> None:
        arguments = {"prompt": "touch", "cwd": stage.cwd, "approval-policy": "untrusted"}
        assert text_of(await client.call_tool("codex", arguments)) == "Done: "
        assert (stage.workspace / "it").exists()

    tap = converse(stage, engine, scene, mode, never, [tasks])
    oracle = judge(tap, LATEST_MODERN_VERSION)
    assert "input_required" in tasks.seen
    assert tasks.seen[-1] == "completed"
    assert oracle.judged["result of tools/call"] == 1
    assert oracle.judged["result of tasks/update"] >= 1


def test_a_stream_tells_how_a_task_goes_on(stage: Stage) -> None:
    gate = Gate()
    stage.play(rule("think", [gate.wait, Text("Thought.")]), more=AT_ONCE)
    client = Modern(stage.start().client, {"extensions": {Tasks.identifier: {}}})
    oracle = Oracle(LATEST_MODERN_VERSION)
    oracle.sent({"method": "tools/call", "id": (call := client.call("codex", prompt="think"))})
    task_id = client.result(call)["taskId"]
    stream = client.request("subscriptions/listen", {"notifications": {"taskIds": [task_id], "toolsListChanged": True}})
    oracle.sent({"method": "subscriptions/listen", "id": stream})
    agreed = client.raw.until(lambda message: "method" in message)["params"]["notifications"]
    assert agreed == {"taskIds": [task_id]}
    stage.model.open(gate)
    told = client.raw.until(lambda message: message.get("method") == "notifications/tasks")["params"]
    assert (told["status"], told["result"]["content"][0]["text"]) == ("completed", "Thought.")
    assert stage.servers[0].leave() == 0
    oracle.judge_all(client.messages)
    assert oracle.judged["result of subscriptions/listen"] == 1, "a stream that ends with the server is answered"


def test_the_official_client_opens_and_ends_a_stream(stage: Stage) -> None:
    stage.play(rule("hello", [Text("Good day.")]))

    async def scene(client: Client, events: Events) -> None:
        async with client.listen(tools_list_changed=True) as stream:
            assert stream.honored.tools_list_changed is None, "our tools never change"
        assert text_of(await client.call_tool("codex", {"prompt": "hello"})) == "Good day."

    oracle = judge(converse(stage, "fork", scene, LATEST_MODERN_VERSION), LATEST_MODERN_VERSION)
    assert oracle.judged["notifications/subscriptions/acknowledged"] == 1
    assert "result of subscriptions/listen" not in oracle.judged

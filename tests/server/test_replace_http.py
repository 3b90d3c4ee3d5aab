"""A host that serves over HTTP is replaced: sessions, streams and calls in rounds go on, over any connection."""

import asyncio
from typing import Any

from greenroom.demo.script import CommandStep, Quote, Text, rule
from tests.support.deadline import until
from tests.support.host import hosting
from tests.support.http_host import HttpClient, Stream, request
from tests.support.http_process import HttpHost, hosting_http
from tests.support.model import Gate
from tests.support.modern import META, VERSION
from tests.support.stage import Stage

HELLO = rule("hello", [Text("Good day.")])
TOUCH = rule("touch", [CommandStep(("touch", "it"))], [Quote("Touched: ")])
ACCEPT = {"action": "accept", "content": {}}


class Guest(HttpClient):
    """A client of a host that is a process; another one can go on with its session on connections of its own."""

    def __init__(self, served: HttpHost, session_id: str | None = None) -> None:
        super().__init__(served.url)
        self._token = served.token
        self.session_id = session_id

    def headers(self, **more: str | None) -> dict[str, str]:
        return {**super().headers(**more), "Authorization": f"Bearer {self._token}"}

    async def round(self, stage: Stage, more: dict[str, Any]) -> dict[str, Any]:
        """Make a call without a session, or the next round of it, and return the result."""
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        arguments = {"prompt": "touch", "cwd": stage.cwd, "approval-policy": "untrusted"}
        message = request("r", "tools/call", {"name": "codex", "arguments": arguments, "_meta": meta, **more})
        response = await self.send(
            "POST",
            message,
            Mcp_Session_Id=None,
            MCP_Protocol_Version=VERSION,
            Mcp_Method="tools/call",
            Mcp_Name="codex",
        )
        if response.content_type == "text/event-stream":
            return await Stream(response).result("r")
        result: dict[str, Any] = (await response.json())["result"]
        return result


def content(result: dict[str, Any]) -> str:
    return str(result["content"][0]["text"])


def test_sessions_go_on_and_no_call_is_lost(stage: Stage) -> None:
    gate = Gate()
    stage.play(HELLO, TOUCH, rule("slow", [gate.wait, Text("Done at last.")]))

    async def scene(served: HttpHost) -> None:
        old = served.host
        client, asking = Guest(served), Guest(served)
        await client.initialize()
        standing = await client.listen()
        slow = await client.call("slow", "slow")
        started = await slow.until(lambda message: message["params"]["msg"]["type"] == "session_configured")
        working = started["params"]["msg"]["session_id"]
        first = await asking.round(stage, {})
        assert first["resultType"] == "input_required"
        with hosting(stage, "--replace") as new:
            await asyncio.to_thread(new.await_socket)
            again, other, third = Guest(served, client.session_id), Guest(served), Guest(served)
            assert (await again.ask("p", "ping"))["result"] == {}, "its session is found at the old host"
            await other.initialize()
            waits = await other.call("w", "hello", working)
            answers = {
                "requestState": first["requestState"],
                "inputResponses": dict.fromkeys(first["inputRequests"], ACCEPT),
            }
            assert content(await third.round(stage, answers)) == "Touched: ", "so is a call that waits for its user"
            assert old.process.poll() is None
            stage.model.open(gate)
            assert content(await slow.result("slow")) == "Done at last."
            assert content(await waits.result("w")) == "Good day."
            assert await standing.rest() == [], "it ends when the session moves"
            await asyncio.to_thread(until, lambda: old.process.poll() is not None, 20)
            assert old.process.returncode == 0
            assert (await again.ask("q", "ping"))["result"] == {}, "its session is at the new host"
            once_more = await again.listen(
                last_event_id=slow.last_id.partition("-")[0] + "-1" if slow.last_id else None
            )
            assert content(await once_more.result("slow")) == "Done at last.", "what was said is kept"
            reply = await again.call("r", "hello", working)
            assert content(await reply.result("r")) == "Good day."
            for guest in (client, asking, again, other, third):
                await guest.close()

    with hosting_http(stage, "-c", "greenroom.http.header_timeout_s=1") as served:
        asyncio.run(scene(served))

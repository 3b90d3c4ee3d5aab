"""No text of a conversation runs in the page or breaks it, and no page of another origin reads or steers it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from greenroom.protocol.report import MAX_TEXT
from greenroom.supervisor.cli.status.overview import Overview
from greenroom.supervisor.control import instances
from tests.sessions.test_index import called, meta, said
from tests.supervisor.cli.dashboard import scenes, script
from tests.supervisor.cli.dashboard.served import Dashboard, dashboard
from tests.supervisor.cli.dashboard.test_page import CONVERSATION, HEIGHTS, LOADED, PROBE, VIEWS, WIDTHS, play, turn_to
from tests.supervisor.cli.status.sights import view
from tests.supervisor.cli.status.stand_ins import House
from tests.support.browser import Browser, Page
from tests.support.loop import until

HOSTILE: Final = (
    "<img src=x onerror=\"document.title='owned';alert(1)\">",
    "</script><script>alert(2)</script>",
    "<svg/onload=alert(3)><style>*{display:none!important}</style>",
    "javascript:alert(4)//'\"><a href=javascript:alert(5)>x</a>",
    "\u202e\u2066right to left\u2069\u202c \u200f\u061c",
    "nul \x00 bell \x07 \x1b[2J\x1b]0;owned\x07\x1b[31mred \x9b0m",
    "lone \ud800 and \udfff and \ufffe",
    "wide" * 5000,
    "Z" + "\u0363\u0330\u0489" * 300,
    "${alert(6)} {{constructor.constructor('alert(7)')()}} `x` **b** ```",
    "line\u2028separator\u2029paragraph\r\n\ttab",
    "\N{FAMILY}\N{ZERO WIDTH JOINER}" * 200,
    "__proto__",
)


def hostile_overview(text: str) -> Overview:
    """Return an overview in which every text is this one, as far as reports let it through."""
    status = scenes.instance(count=3, paces=scenes.PACES, nodes=scenes.NODES, deaths=())
    assert status.report is not None
    told = json.loads(status.report.model_dump_json())
    safe = text.encode("utf-8", "replace").decode()
    for one in told["conversations"]:
        one |= {"title": safe, "cwd": safe, "model": safe, "node": safe}
        if one["turn"]:
            one["turn"]["doing"] = safe
    death = {"at": told["at"], "process": safe, "pid": 1, "cause": safe, "max_rss": 1, "doing": safe, "node": safe}
    told["deaths"] = [death | {"log_lines": [safe] * 5, "conversation_id": told["conversations"][0]["id"]}, death]
    told["nodes"] = [{**node, "name": f"{place}{safe}", "version": safe} for place, node in enumerate(told["nodes"])]
    told["clients"] = [{**one, "name": safe, "version": safe, "id": f"{safe}{one['id']}"} for one in told["clients"]]
    told["credential"]["plan_type"] = safe
    told["processes"].append({"role": "worker", "node": safe, "node_pid": 7, "worker_id": f"w{safe}"})
    told["paces"][0]["key"] = safe
    seen = [one.seen for one in status.processes if one.seen is not None]
    changed = scenes.of(status.report, seen, **{name: told[name] for name in TEXTS})
    return view(changed.model_copy(update={"refusal": safe}))


TEXTS: Final = ("conversations", "deaths", "nodes", "clients", "credential", "processes", "paces")


def hostile_lines(texts: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a conversation that says these texts everywhere."""
    yield meta(scenes.conversation_id(0))
    for place, text in enumerate(texts):
        yield said("user", text)
        yield script.thinks(text)
        yield from script.shell(text, text, f"s{place}")
        yield from (called("update_plan", {"plan": [{"step": text, "status": text}]}, f"p{place}"),)
        yield said("assistant", f"# {text}\n\n```{text}\n{text}\n```\n\n**{text}** `{text}`")


@pytest.mark.timeout(180)
def test_hostile_texts_in_every_place_run_nothing_and_break_no_layout(browser: Browser, tmp_path: Path) -> None:
    script.write(tmp_path, list(hostile_lines(HOSTILE)))

    async def scene(served: Dashboard, page: Page) -> None:
        count = "document.querySelectorAll('script, style, iframe, object, embed, img, [onerror], [onload]').length"
        assert await page.ask(count) == 1, "the page has its one script"
        for place, text in enumerate(HOSTILE):
            served.overview = hostile_overview(text)
            looks = served.collector.looks
            while served.collector.looks < looks + 2:
                await asyncio.sleep(0.01)
            for shown in VIEWS if place % 4 == 0 else ("#/", VIEWS[1 + place % 4]):
                assert page.problems == [], text[:40]
                await turn_to(page, shown)
                for width in (WIDTHS[place % len(WIDTHS)],):
                    await page.show(width, HEIGHTS[width])
                    assert await page.ask("overflowing()") == [], (text[:40], shown, width)
                assert await page.ask(count) == 1, text[:40]
                assert await page.ask("document.querySelectorAll('a[href^=\"javascript\"]').length") == 0
        await turn_to(page, CONVERSATION)
        await page.until("document.querySelectorAll('.passage').length >= 50")
        spoken = await page.ask("[...document.querySelectorAll('.passage.user')].map((one) => one.innerText)")
        assert [text for text in spoken if "<img src=x onerror=" in text], "what was said is shown as it is"
        assert await page.ask(r"/[\u0000\u001b\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent)") is False
        assert await page.ask(count) == 1
        assert "owned" not in await page.ask("document.title")

    play(browser, scene, hostile_overview(HOSTILE[0]), tmp_path, control=True)


def test_reports_cut_what_is_huge() -> None:
    (status,) = hostile_overview("x" * 10_000).instances
    assert status.report is not None
    assert {len(one.title or "") for one in status.report.conversations} == {MAX_TEXT}


@asynccontextmanager
async def foreign_page(body: str) -> AsyncIterator[str]:
    """Serve a page of another origin, and yield its port."""

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(text=body, content_type="text/html")

    server = web.Server(answer)
    listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield str(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        server.pre_shutdown()
        await server.shutdown(0.1)


ATTACK: Final = """async (base) => {
  const told = {};
  const order = JSON.stringify({order: "stop", instance: %d, target: ""});
  const attempt = async (name, act) => {
    try { told[name] = await act(); } catch (error) { told[name] = "refused"; }
  };
  await attempt("read", async () => (await fetch(base + "/app.js", {credentials: "include"})).status);
  const headers = {"Content-Type": "application/json", "X-Greenroom-Order": "confirmed"};
  await attempt("order", async () => (await fetch(base + "/orders", {method: "POST", credentials: "include",
    body: order, headers})).status);
  await attempt("blind order", async () => (await fetch(base + "/orders", {method: "POST", mode: "no-cors",
    credentials: "include", body: order})).type);
  await attempt("script", () => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = base + "/app.js"; script.onload = () => resolve("loaded"); script.onerror = reject;
    document.head.append(script);
  }));
  await attempt("stream", () => new Promise((resolve, reject) => {
    const source = new EventSource(base + "/events", {withCredentials: true});
    source.onmessage = () => resolve("read"); source.onerror = () => { source.close(); reject(); };
  }));
  await attempt("frame", () => new Promise((resolve) => {
    const frame = document.createElement("iframe");
    frame.src = base + "/"; frame.onload = () => {
      try { resolve(frame.contentDocument.body.innerText || "empty"); } catch { resolve("refused"); }
    };
    document.body.append(frame);
  }));
  return told;
}"""


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"], ids=["another port", "another host"])
def test_a_page_of_another_origin_can_neither_read_nor_steer(browser: Browser, house: House, host: str) -> None:
    """Also with the session in the same browser, and where the name of that page leads to this machine."""
    victim = house.engage()
    where = [f"{house.runtime}/greenroom"]

    async def run() -> None:
        serving = dashboard(scenes.one(), control=True, find=lambda: instances.running(where))
        async with serving as served, browser.page() as page, foreign_page("<p>hello</p>") as port:
            await page.go(served.server.new_address())
            await page.until(LOADED)
            own = served.host.rpartition(":")[2]
            await page.go(f"http://{host}:{port}/")
            for base in (served.origin, f"http://evil.example:{own}"):
                told: dict[str, Any] = await page.ask(f"({ATTACK % victim.pid})({base!r})")
                assert told.pop("blind order") in ("opaque", "refused"), "nothing of the answer is seen"
                assert set(told.values()) == {"refused"}, (base, told)
            await until(lambda: served.server._streams == 0)  # the first page's is gone a moment after that page

    asyncio.run(run())
    assert [one.instance.pid for one in instances.running(where)] == [victim.pid]
    victim.process.hang_up()
    assert victim.process.stdout.readline() == "", "it has been ordered nothing"


def test_a_name_that_leads_here_gets_nothing(browser: Browser, tmp_path: Path) -> None:
    """DNS rebinding: the page's own origin is another host, which leads to the port of the dashboard."""

    async def run() -> None:
        async with dashboard(scenes.one(), control=True) as served, browser.page() as page:
            port = served.host.rpartition(":")[2]
            path = served.server.new_address().removeprefix(served.origin)
            await page.go(f"http://evil.example:{port}{path}")
            assert "does not name this server" in await page.ask("document.body.innerText")
            assert (await served.ask("GET", path)).status == 303, "the token is still good"

    asyncio.run(run())


def test_orders_are_confirmed_and_answered_on_the_page(browser: Browser, house: House, tmp_path: Path) -> None:
    one = house.engage()
    where = [f"{house.runtime}/greenroom"]

    async def run() -> None:
        overview = scenes.one()
        (status,) = overview.instances
        assert status.report is not None
        entry = status.report.conversations[0]
        serving = dashboard(overview_of(overview, one.pid), control=True, find=lambda: instances.running(where))
        async with serving as served, browser.page() as page:
            await page.go(served.server.new_address())
            await page.until(LOADED)
            await page.ask(PROBE)
            await page.ask(f"location.hash = '#/conversation/{one.pid}/{entry.id}'")
            await page.until("document.querySelector('[data-order=kill]')?.checkVisibility()")
            await page.ask("document.querySelector('[data-order=kill]').focus()")
            await page.press("Enter")
            await page.until("document.getElementById('confirm').open")
            assert await page.ask("document.activeElement.textContent") == "Cancel", "no key kills by accident"
            assert "worker_crashed" in await page.ask("document.getElementById('confirm').innerText")
            for dark in (False, True):
                await page.show(375, 812, dark=dark)
                assert await page.ask("faintTexts()") == []
                assert await page.ask("overflowing()") == []
            await page.press("Escape")
            await page.until("!document.getElementById('confirm').open")
            assert await page.ask("document.activeElement.dataset.order") == "kill"
            await page.press("Enter")
            await page.until("document.getElementById('confirm').open")
            await page.ask("document.getElementById('confirm-go').click()")
            await page.until("document.getElementById('toasts').innerText.includes('As you wish.')")
            assert page.problems == []

    asyncio.run(run())
    assert one.hear() == {"do": "KillConversation", "conversation_id": scenes.conversation_id(0)}


def overview_of(overview: Overview, pid: int) -> Overview:
    """Return an overview as that of the instance with this pid."""
    (status,) = overview.instances
    named = status.model_copy(update={"instance": status.instance.__class__(pid, "b", "0.1.0", "/home", "fork", 0.0)})
    return overview.model_copy(update={"instances": (named,)})


def test_without_control_the_page_has_no_buttons_for_orders(browser: Browser, tmp_path: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        for shown in VIEWS:
            await turn_to(page, shown)
            seen = "[...document.querySelectorAll('[data-order]')].filter((one) => one.checkVisibility()).length"
            assert await page.ask(seen) == 0, shown

    script.write(tmp_path, script.begun())
    play(browser, scene, scenes.busy(), tmp_path)

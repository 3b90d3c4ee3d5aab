"""What is being written grows on the page, for its user alone, and no page holds up an instance."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from greenroom.supervisor.cli.dashboard.server import MOST_STREAMS
from tests.sessions.test_index import said
from tests.supervisor.cli.dashboard import scenes, script
from tests.supervisor.cli.dashboard.live_instance import (
    LiveInstance,
    live_instance,
    output,
    piece,
    reasoning,
    turn_begun,
)
from tests.supervisor.cli.dashboard.served import Dashboard, dashboard
from tests.supervisor.cli.dashboard.test_page import CONVERSATION, HEIGHTS, LOADED, PROBE, WIDTHS, turn_to
from tests.supervisor.cli.dashboard.test_strangers import _is_protected
from tests.support.browser import Browser

Scene = Callable[[Dashboard, LiveInstance], Awaitable[None]]
PATH: Final = f"/transcript?instance={script.PID}&conversation={scenes.conversation_id(0)}"
LIVE: Final = "[...document.querySelectorAll('.live .passage')]"


def play(home: Path, scene: Scene) -> None:
    """Serve a conversation that is saved in a home, and watched there."""
    script.write(home, script.begun())
    found = script.found(home, directory=str(home))

    async def run() -> None:
        async with live_instance(home) as instance, dashboard(scenes.one(), find=lambda: found) as served:
            await scene(served, instance)

    asyncio.run(run())


def test_a_text_grows_in_place_and_stays_where_it_was_once_it_is_saved(browser: Browser, tmp_path: Path) -> None:
    async def scene(served: Dashboard, instance: LiveInstance) -> None:
        async with browser.page() as page:
            await page.go(served.server.new_address())
            await page.until(LOADED)
            await page.ask(PROBE)
            await turn_to(page, CONVERSATION)
            await instance.watched()
            count = await page.ask("document.querySelectorAll('.passage').length")
            await instance.tell(*turn_begun("The **cause** is <img src=x onerror=alert(1)>"))
            await page.until(f"{LIVE}.length === 1")
            assert await page.ask(f"{LIVE}[0].querySelector('strong').textContent") == "cause"
            await instance.tell(piece(" and\u202e nothing"), piece(" else."), reasoning("Hm."), output("a\nb\n"))
            await page.until(f"{LIVE}.length === 3")
            text = await page.ask(f"{LIVE}[0].querySelector('.prose').innerText")
            assert text == "The cause is <img src=x onerror=alert(1)> and nothing else."
            assert await page.ask(f"{LIVE}[2].querySelector('pre').textContent") == "… a\nb"
            for width in WIDTHS:
                for dark in (False, True):
                    await page.show(width, HEIGHTS[width], dark=dark)
                    assert await page.ask("[overflowing(), faintTexts()]") == [[], []]
            assert await page.ask("nameless()") == []
            (path,) = tmp_path.rglob("*.jsonl")
            final = "The **cause** is <img src=x onerror=alert(1)> and nothing else."
            item = {"type": "AgentMessage", "id": "m", "content": [{"type": "Text", "text": final}]}
            times = {"started_at_ms": 1, "completed_at_ms": 2}
            await instance.tell({"type": "item_completed", "thread_id": "c", "turn_id": "t", "item": item, **times})
            script.append(path, said("assistant", final))
            await page.until(f"{LIVE}.length === 2")
            assert await page.ask("document.querySelectorAll('.passage').length") == count + 3
            assert page.problems == []

    play(tmp_path, scene)


def test_a_plan_changes_before_the_file_has_it(browser: Browser, tmp_path: Path) -> None:
    steps = "[...document.querySelectorAll('.steps li')].map((one) => one.dataset.status).join()"

    async def scene(served: Dashboard, instance: LiveInstance) -> None:
        async with browser.page() as page:
            await page.go(served.server.new_address())
            await page.until(LOADED)
            await turn_to(page, CONVERSATION)
            await page.until(f"{steps} === 'completed,completed,completed,in_progress'")
            await instance.watched()
            plan = [{"step": "Look again", "status": "in_progress"}, {"step": "Say it", "status": "pending"}]
            await instance.tell({"type": "plan_update", "explanation": None, "plan": plan})
            await page.until(f"{steps} === 'in_progress,pending'")

    play(tmp_path, scene)


def test_only_whoever_is_let_in_watches(tmp_path: Path) -> None:
    async def scene(served: Dashboard, instance: LiveInstance) -> None:
        assert (await served.ask("GET", PATH)).status == 401
        await served.log_in()
        port = served.host.rpartition(":")[2]
        for headers in (
            {"Host": f"evil.example:{port}"},
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            assert (await served.ask("GET", PATH, headers=headers)).status == 403
        for method in ("POST", "PUT", "DELETE"):
            assert (await served.ask(method, PATH, headers={"Origin": served.origin})).status == 405
        assert instance.asked == []
        async with served.stream(PATH) as stream:
            _is_protected(stream.response.headers)
            await instance.watched()
        assert [one.conversation_id for one in instance.asked] == [scenes.conversation_id(0)]

    play(tmp_path, scene)


def test_an_instance_is_watched_only_while_a_page_shows_the_conversation(tmp_path: Path) -> None:
    async def scene(served: Dashboard, instance: LiveInstance) -> None:
        await served.log_in()
        async with served.stream("/events") as events:
            await events.next()
            assert instance.asked == []
            async with served.stream(PATH) as stream:
                await stream.next()
                await instance.watched()
            with pytest.raises(ConnectionError):
                await _tell_on(instance)

    play(tmp_path, scene)


async def _tell_on(instance: LiveInstance) -> None:
    while True:
        await instance.tell(piece("?"))
        await asyncio.sleep(0.01)


@pytest.mark.timeout(120)
def test_a_page_that_does_not_read_holds_up_no_instance(tmp_path: Path) -> None:
    async def scene(served: Dashboard, instance: LiveInstance) -> None:
        await served.log_in()
        cookie = "; ".join(f"{name}={value}" for name, value in served.cookies.items())
        with socket.socket() as sleeper:
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.connect(served.server._address)
            sleeper.sendall(f"GET {PATH} HTTP/1.1\r\nHost: {served.host}\r\nCookie: {cookie}\r\n\r\n".encode())
            await instance.watched()
            await instance.tell(*turn_begun())
            for _ in range(400):  # 20 MiB, far more than any buffer between the two holds
                await instance.tell(piece("x" * 50_000))
        assert served.server._streams <= MOST_STREAMS

    play(tmp_path, scene)


def test_an_instance_that_comes_later_or_refuses_costs_no_transcript(tmp_path: Path) -> None:
    script.write(tmp_path, script.begun())
    found = script.found(tmp_path, directory=str(tmp_path))

    async def run() -> None:
        async with dashboard(scenes.one(), find=lambda: found) as served:
            await served.log_in()
            async with served.stream(PATH) as stream:
                told = await stream.next()
                assert len(told["growth"]["entries"]) == 7
                assert told["live"] is None

    asyncio.run(run())

"""The page in a real browser: readable at every width, in both themes, by keyboard and without colours."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from greenroom.supervisor.cli.status.overview import Overview
from tests.sessions.test_index import said
from tests.supervisor.cli.dashboard import scenes, script
from tests.supervisor.cli.dashboard.served import Dashboard, dashboard
from tests.support.browser import Browser, Page

Scene = Callable[[Dashboard, Page], Awaitable[None]]
PROBE: Final = Path(__file__).with_name("probe.js").read_text("utf-8")
WIDTHS: Final = (1280, 768, 375)
HEIGHTS: Final = {375: 812, 768: 1024, 1280: 800}
CONVERSATION: Final = f"#/conversation/{script.PID}/{scenes.conversation_id(0)}"
VIEWS: Final = ("#/", "#/deaths", "#/processes", "#/limits", "#/nodes", CONVERSATION)
SCENES: Final[dict[str, Callable[[], Overview]]] = {
    "nothing": scenes.nothing,
    "idle": scenes.idle,
    "one": scenes.one,
    "busy": scenes.busy,
    "crowd": scenes.crowd,
    "silent": scenes.silent,
}
LOADED: Final = "document.getElementById('main').dataset.loaded === 'true'"


def play(
    browser: Browser, scene: Scene, overview: Overview, home: Path, *, control: bool = False, moving: bool = False
) -> None:
    """Serve what is to be seen, open it, and check at the end that nothing went wrong in the page."""

    async def run() -> None:
        look = scenes.Moving(overview).look if moving else None
        found = script.found(home)
        async with (
            dashboard(overview, control=control, find=lambda: found, look=look) as served,
            browser.page() as page,
        ):
            await page.go(served.server.new_address())
            await page.until(LOADED)
            await page.ask(PROBE)
            await scene(served, page)
            assert page.problems == []

    asyncio.run(run())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a conversation."""
    script.write(tmp_path, script.begun())
    return tmp_path


async def turn_to(page: Page, view: str) -> None:
    if await page.ask("location.hash || '#/'") == view:
        return
    await page.ask(f"document.activeElement.blur(); location.hash = {view!r}")
    await page.until("document.activeElement.tagName === 'H1'")
    if view == CONVERSATION:
        await page.until("document.querySelector('.passage, .notice:not([hidden])')")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", SCENES)
def test_every_view_can_be_read_at_every_width_and_in_both_themes(browser: Browser, home: Path, name: str) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        for view in VIEWS if name != "crowd" else VIEWS[:3:2]:
            await turn_to(page, view)
            for width in WIDTHS:
                await page.show(width, HEIGHTS[width])
                assert await page.ask("overflowing()") == [], (view, width)
            for dark in (False, True) if name != "crowd" else ():
                await page.show(width, HEIGHTS[width], dark=dark)
                assert await page.ask("[overflowing(), faintTexts()]") == [[], []], (view, dark)
            assert await page.ask("nameless()") == [], view

    play(browser, scene, SCENES[name](), home, control=name in ("busy", "one"))


def test_conversations_are_shown_with_what_they_do(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        lines = await page.ask("[...document.querySelectorAll('.conversations tbody tr')].map((row) => row.innerText)")
        assert len(lines) == 10
        assert "Port the importer" in lines[0]
        assert "asks the user" in lines[0], "who waits for the user comes first, with what hangs"
        assert "stopped" in lines[1]
        troubles = await page.ask("document.getElementById('troubles').innerText")
        assert "is stopped by a signal" in troubles
        assert await page.ask("document.querySelector('.stat.deaths .value').textContent") == "2"
        assert await page.ask("document.title") == "Conversations · Greenroom"

    play(browser, scene, scenes.busy(), home)


def test_any_number_of_conversations_is_shown(browser: Browser, home: Path) -> None:
    async def scene(served: Dashboard, page: Page) -> None:
        for name, count in {"nothing": 0, "one": 1, "crowd": 300, "idle": 0}.items():
            served.overview = SCENES[name]()
            await page.until(f"document.querySelectorAll('.conversations tbody tr').length === {count}")
            seen = await page.ask(
                "[...document.querySelectorAll('.empty .big')].filter((one) => one.checkVisibility()).length"
            )
            assert seen == (0 if count else 1), "what is not there is said"

    play(browser, scene, scenes.nothing(), home)


def test_what_changes_is_shown_and_what_has_the_focus_keeps_it(browser: Browser, home: Path) -> None:
    async def scene(served: Dashboard, page: Page) -> None:
        await page.ask("document.querySelector('.conversations tbody tr:nth-child(3) a').focus()")
        focused = await page.ask("document.activeElement.textContent")
        served.overview = scenes.crowd()
        await page.until("document.querySelectorAll('.conversations tbody tr').length === 300")
        assert await page.ask("document.activeElement.textContent") == focused
        served.overview = scenes.nothing()
        await page.until("document.querySelectorAll('.conversations tbody tr').length === 0")

    play(browser, scene, scenes.busy(), home)


def test_conversations_are_found_by_words_and_by_what_they_do(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        count = "document.querySelectorAll('.conversations tbody tr').length"
        assert await page.ask(count) == 300
        await page.press("/")
        assert await page.ask("document.activeElement.id") == "filter"
        await page.write("RENAME")
        await page.until(f"{count} === 30")
        await page.ask("document.querySelector('input[value=active]').click()")
        await page.until(f"{count} === 30")
        await page.write(" no such words")
        await page.until(f"{count} === 0")
        assert "No conversation fits" in await page.ask("document.getElementById('main').innerText")

    play(browser, scene, scenes.crowd(), home)


def test_a_transcript_and_its_plan_grow(browser: Browser, home: Path) -> None:
    (path,) = home.rglob("*.jsonl")

    async def scene(_: Dashboard, page: Page) -> None:
        await turn_to(page, CONVERSATION)
        await page.until("document.querySelectorAll('.passage').length === 7")
        assert await page.ask("document.querySelector('h1').textContent") == scenes.TITLES[0]
        steps = "[...document.querySelectorAll('.steps li')].map((one) => one.dataset.status).join()"
        assert await page.ask(steps) == "completed,completed,completed,in_progress"
        assert "serial" in await page.ask("document.querySelector('.agent pre').textContent")
        assert await page.ask("document.querySelector('.agent strong').textContent") == "same millisecond"
        script.append(path, said("assistant", "All twenty runs pass."), *script.plan(4, "p5"))
        await page.until("document.querySelectorAll('.passage').length === 8")
        assert "All twenty runs pass." in await page.ask("document.querySelector('.passage:last-child').innerText")
        await page.until(f"{steps} === 'completed,completed,completed,completed'")

    play(browser, scene, scenes.busy(), home)


def test_commands_are_in_the_tree_and_in_the_figures_of_their_conversation(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        await turn_to(page, "#/processes")
        lines = await page.ask("[...document.querySelectorAll('.tree li')].map((line) => line.innerText)")
        (place,) = [number for number, line in enumerate(lines) if "make test" in line]
        assert "Zygote" in lines[place - 1], "it is below the zygote"
        assert f"of {scenes.TITLES[0]}" in lines[place]
        assert "python -m pytest -q" in lines[place + 1]
        (worker,) = [line for line in lines if f"Worker of {scenes.TITLES[0]}" in line]
        assert "2 processes of commands, 91 %" in worker
        await turn_to(page, CONVERSATION)
        await page.until("document.querySelector('.facts').innerText.includes('2 processes, 91 %, 151 MiB')")
        assert float((await page.ask("document.querySelector('.measures .figure').textContent")).split()[0]) > 90

    play(browser, scene, scenes.busy(), home)


def test_a_death_is_shown_with_its_last_words_and_said_aloud_once(browser: Browser, home: Path) -> None:
    async def scene(served: Dashboard, page: Page) -> None:
        assert await page.ask("document.getElementById('announcer').textContent") == ""
        served.overview = scenes.busy()
        await page.until("document.getElementById('announcer').textContent === '2 processes have died.'")
        await turn_to(page, "#/deaths")
        told = await page.ask("document.querySelector('.deaths .card').innerText")
        assert "Signal 9 (SIGKILL)" in told
        assert "While running the tool shell: make test" in told
        assert "1.9 GiB are used of 2 GiB" in told
        assert await page.ask("document.querySelectorAll('[aria-live]').length") == 2, "nothing else speaks"

    play(browser, scene, scenes.one(), home)


def test_all_of_it_can_be_reached_by_keyboard(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        await page.ask("document.activeElement.blur()")
        reached = []
        for _step in range(14):
            await page.press("Tab")
            reached.append(await page.ask("document.activeElement.textContent.trim() || document.activeElement.id"))
            outline = await page.ask(
                "(() => { const one = document.activeElement; const at = one.matches('.choice input') "
                "? getComputedStyle(one.nextElementSibling) : getComputedStyle(one, one.closest('th') && '::after'); "
                "return [at.outlineStyle, parseFloat(at.outlineWidth)]; })()"
            )
            assert outline[0] == "solid", reached
            assert outline[1] >= 2, reached
        assert reached[:2] == ["Skip to the content", "Greenroom"]
        assert [text.split()[0] for text in reached[2:7]] == ["Conversations", "Deaths", "Processes", "Limits", "Nodes"]
        assert reached[7].endswith("Theme: as the system")
        assert reached[8] == "filter"
        assert "Port the importer to the new schema" in reached
        await page.ask("document.querySelector('.conversations a').focus()")
        await page.press("Enter")
        await page.until("document.activeElement.tagName === 'H1' && location.hash.startsWith('#/conversation/')")

    play(browser, scene, scenes.busy(), home)


def test_the_theme_is_that_of_the_system_until_another_is_chosen(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        colour = "getComputedStyle(document.body).backgroundColor"
        light = await page.ask(colour)
        await page.show(1280, dark=True)
        dark = await page.ask(colour)
        assert dark != light
        press = "document.getElementById('theme').click()"
        await page.ask(press)
        assert (await page.ask(colour), await page.ask("document.getElementById('theme').title")) == (
            light,
            "Theme: light",
        )
        await page.ask(press)
        assert await page.ask(colour) == dark
        await page.show(1280)
        assert await page.ask(colour) == dark
        await page.ask(press)
        assert await page.ask(colour) == light

    play(browser, scene, scenes.one(), home)


def test_nothing_moves_where_the_user_wants_no_motion(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        await page.until("document.getElementById('link').dataset.state === 'live'")
        assert await page.ask("document.getAnimations().length") == 0
        await page.show(1280, still=False)
        assert await page.ask("document.getAnimations().length") == 1

    play(browser, scene, scenes.one(), home)


def test_a_page_that_is_not_seen_has_no_stream(browser: Browser, home: Path) -> None:
    async def scene(served: Dashboard, page: Page) -> None:
        hide = "Object.defineProperty(document, 'hidden', {{value: {0}, configurable: true}});"
        change = f"{hide} document.dispatchEvent(new Event('visibilitychange'))"
        await page.ask(change.format("true"))
        while served.server._streams:
            await asyncio.sleep(0.01)
        assert await page.ask("document.getElementById('link-text').textContent") == "Paused"
        served.overview = scenes.busy()
        await page.ask(change.format("false"))
        await page.until("document.querySelectorAll('.conversations tbody tr').length === 10")

    play(browser, scene, scenes.one(), home)


def test_a_dashboard_that_ends_is_told_of(browser: Browser, home: Path) -> None:
    async def scene(served: Dashboard, page: Page) -> None:
        await served.server.close()
        await page.until("document.getElementById('link').dataset.state === 'lost'")
        assert "Not connected" in await page.ask("document.getElementById('announcer').textContent")
        page.problems.clear()  # the browser says on its console that the stream was lost

    play(browser, scene, scenes.one(), home)


def test_the_address_bar_has_no_token_and_nothing_is_kept(browser: Browser, home: Path) -> None:
    async def scene(_: Dashboard, page: Page) -> None:
        assert "token" not in await page.ask("location.href")
        assert await page.ask("document.cookie") == "", "scripts cannot read it"
        assert await page.ask("document.referrer") == ""
        loaded = "performance.getEntries().map((one) => one.name).filter((name) => name.includes('://'))"
        hosts = await page.ask(f"[...new Set({loaded}.map((name) => new URL(name).host))]")
        assert hosts == [await page.ask("location.host")]

    play(browser, scene, scenes.one(), home)

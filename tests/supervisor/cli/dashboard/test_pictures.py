"""The pictures of the page in the documentation, drawn by `make pictures`."""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest

from tests.supervisor.cli.dashboard import scenes, script
from tests.supervisor.cli.dashboard.live_instance import command_begun, live_instance, output, turn_begun
from tests.supervisor.cli.dashboard.served import dashboard
from tests.supervisor.cli.dashboard.test_page import CONVERSATION, HEIGHTS, LOADED, turn_to
from tests.support.browser import Browser

PICTURES: Final = os.environ.get("GREENROOM_PICTURES", "")
"""A directory to which pictures are written; with nothing, none are."""
TEXT: Final = "Fourteen runs of the suite have passed so far, and `test_jobs_run_in_order` has passed in each"
OUTPUT: Final = "".join(f"run {run:>2}  612 passed in 38.{run * 7 % 10}s\n" for run in range(1, 15))


@pytest.mark.skipif(not PICTURES, reason="GREENROOM_PICTURES names no directory (`make pictures`)")
@pytest.mark.parametrize(
    ("name", "view", "width", "dark"),
    [
        ("conversations", "#/", 1280, False),
        ("conversation", CONVERSATION, 1280, True),
        ("processes", "#/processes", 1280, False),
        ("deaths", "#/deaths", 1280, False),
        ("phone", "#/", 375, False),
        ("phone-dark", CONVERSATION, 375, True),
    ],
)
def test_pictures_are_drawn(browser: Browser, tmp_path: Path, name: str, view: str, width: int, dark: bool) -> None:
    script.write(tmp_path, script.begun())
    overview = scenes.busy()
    found = script.found(tmp_path, directory=str(tmp_path))

    async def draw() -> None:
        moving = scenes.Moving(overview)
        async with (
            live_instance(tmp_path) as instance,
            dashboard(overview, find=lambda: found, look=moving.look) as served,
            browser.page() as page,
        ):
            await page.go(served.server.new_address())
            await page.until(LOADED)
            await page.show(width, HEIGHTS[width], dark=dark)
            await turn_to(page, view)
            if view == CONVERSATION:
                await instance.watched()
                await instance.tell(*turn_begun(TEXT), command_begun("make test"), output(OUTPUT))
                await page.until("document.querySelectorAll('.live .passage').length === 2")
                await page.ask("scrollTo(0, document.documentElement.scrollHeight)")
            while served.collector.looks < 60:
                await asyncio.sleep(0.05)
            picture = await page.picture()
            assert len(picture) < 150_000
            Path(PICTURES, f"dashboard-{name}.png").write_bytes(picture)
            assert page.problems == []

    asyncio.run(draw())

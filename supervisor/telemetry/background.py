"""Work on a thread that holds up neither the loop nor the end of the process."""

import asyncio
import threading
from collections.abc import Callable


async def in_background(work: Callable[[], object]) -> None:
    """Return when the work is done; what it raises is raised. One that is given up goes on until the process ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except Exception as raised:
            error = raised
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="telemetry", daemon=True).start()
    await done

"""Imports a module while the loop continues to answer."""

import asyncio
import sys
import threading
from contextlib import suppress


async def import_in_thread(name: str) -> None:
    """Import a module, unless that was done before. Raises what the import raises."""
    if name in sys.modules:
        return
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.done():  # nobody waits for it any more
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        failure = None
        try:
            __import__(name)
        except BaseException as error:  # any error is raised where the import is awaited
            failure = error
        with suppress(RuntimeError):  # the loop may have ended
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=work, name=f"import {name}", daemon=True).start()
    await done

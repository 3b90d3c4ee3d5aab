"""A relay of TCP connections on loopback, with a delay, that can be cut: nothing passes then, and nothing ends."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

BLOCK: Final = 64 * 1024
T = TypeVar("T")


class Relay:
    """Relays from ports of one address to ports of another, on a thread of its own. `close` it."""

    def __init__(
        self,
        ports: Mapping[int, int],
        *,
        delay: float = 0.0,
        listen: str = "127.0.0.1",
        target: str = "127.0.0.1",
        tapped: bool = False,
    ) -> None:
        """`ports`: port of the target by port that is listened at. `delay`: seconds each way."""
        self.passed = bytearray()
        """All that has passed, both ways, as somebody on the way sees it; of one that is tapped."""
        self._is_tapped = tapped
        self._delay = delay
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: asyncio.Event
        self._run(self._start(ports, listen))

    def cut(self) -> None:
        """Let nothing pass any more; what is under way is delivered after `heal`, as TCP does."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def heal(self) -> None:
        """Let everything pass again."""
        self._loop.call_soon_threadsafe(self._open.set)

    def close(self) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self, ports: Mapping[int, int], listen: str) -> None:
        self._open = asyncio.Event()
        self._open.set()
        for port, goal in ports.items():

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, goal: int = goal) -> None:
                with suppress(asyncio.CancelledError):  # what stays is not told anywhere
                    await self._serve(reader, writer, goal)

            self._servers.append(await asyncio.start_server(serve, listen, port))

    async def _stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # what they have closed is closed in the next pass

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
        self._keep(asyncio.current_task())
        await self._open.wait()
        try:
            there, back = await asyncio.open_connection(self._target, port)
        except OSError:
            writer.close()
            return
        for source, goal in ((reader, back), (there, writer)):
            self._keep(asyncio.ensure_future(self._pass_on(source, goal)))

    def _keep(self, task: "asyncio.Task[None] | None") -> None:
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, goal: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                await self._open.wait()
                if not data:
                    return
                goal.write(data)
                await goal.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            data = b"-"
            while data:
                try:
                    data = await source.read(BLOCK)
                except OSError:
                    data = b""
                if self._is_tapped:
                    self.passed += data
                waiting.put_nowait((loop.time() + self._delay, data))
            await delivering
        except OSError:
            pass
        finally:
            delivering.cancel()
            goal.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

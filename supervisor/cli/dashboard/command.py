"""`greenroom dashboard`: serves a page about running instances until it is stopped."""

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from greenroom.protocol.errors import GreenroomError
from greenroom.runtime.process import hardening
from greenroom.supervisor.cli.dashboard.collector import Collector
from greenroom.supervisor.cli.dashboard.server import DashboardServer
from greenroom.supervisor.cli.status.overview import Overview
from greenroom.supervisor.cli.status.process_sampler import ProcessSampler
from greenroom.supervisor.cli.status.status import MEASURED, find_instances, nothing_found, overview
from greenroom.supervisor.control.control_messages import GiveReport

FOOTPRINTS: Final = 5.0
"""Seconds between two times at which each process is asked for its footprint."""
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal, and return the exit status. Raises `GreenroomError`."""
    hardening.make_undumpable()
    if arguments.instance is not None and not find_instances(arguments.instance):
        raise GreenroomError(nothing_found(arguments.instance))
    return asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> int:
    loop, leaving = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, leaving.set)
    collector = Collector(Looker(arguments.instance).look)
    server = DashboardServer(
        arguments.port, collector, partial(find_instances, arguments.instance), control=arguments.control
    )
    await server.start()
    collecting = asyncio.ensure_future(collector.run())
    collecting.add_done_callback(lambda _: leaving.set())
    try:
        _announce(server, can_steer=arguments.control)
        if sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), _renew, server, loop)
        await leaving.wait()
    finally:
        await server.close()
        collecting.cancel()
        await asyncio.wait({collecting})
    if not collecting.cancelled() and (error := collecting.exception()) is not None:
        raise GreenroomError(f"instances cannot be looked at: {error}") from error
    return 0


class Looker:
    """Looks at instances repeatedly. The first look takes longer, since it measures how busy processes are."""

    def __init__(self, pid: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        """`pid` is that of a supervisor; `None` for all instances of this user."""
        self._pid, self._clock = pid, clock
        self._sampler = ProcessSampler(is_brief=True, tells_commands=True)
        self._measured = MEASURED
        self._asked_at = -FOOTPRINTS

    def look(self) -> Overview:
        """Return how the instances are."""
        found, now = find_instances(self._pid), self._clock()
        measure = now - self._asked_at >= FOOTPRINTS
        if measure:
            self._asked_at = now
        measured, self._measured = self._measured, 0.0
        return overview(found, self._sampler, measured if found else 0.0, GiveReport(measure))


def _announce(server: DashboardServer, *, can_steer: bool) -> None:
    """Say where the page is. The address is for one browser, and good once."""
    what = "shows running instances and can steer them" if can_steer else "shows running instances"
    sys.stdout.write(f"greenroom: the dashboard {what}. Open, once:\n\n  {server.new_address()}\n\n")
    if sys.stdin.isatty():
        sys.stdout.write("Enter: another address, and this one is not good any more. Ctrl-C: end.\n")
    sys.stdout.flush()


def _renew(server: DashboardServer, loop: asyncio.AbstractEventLoop) -> None:
    """Print another address where Enter was pressed."""
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin.fileno())
        return
    sys.stdout.write(f"  {server.new_address()}\n")
    sys.stdout.flush()

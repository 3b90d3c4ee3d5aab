"""`greenroom status`: samples the instances of this user, asks each, and shows both, once or repeatedly."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from rich.text import Text

from greenroom.supervisor.cli.output import UntilReaderLeaves, complain
from greenroom.supervisor.cli.status.control_client import ControlResponse, ask
from greenroom.supervisor.cli.status.diagnostics import NOTHING, exit_code, troubles
from greenroom.supervisor.cli.status.formatting import counted
from greenroom.supervisor.cli.status.overview import InstanceStatus, Overview, instance_status
from greenroom.supervisor.cli.status.page import overview_page
from greenroom.supervisor.cli.status.process_sampler import ProcessSampler
from greenroom.supervisor.cli.status.table import clipped
from greenroom.supervisor.cli.status.terminal import KeyListener, Printer, Screen
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control_messages import ActionRefused, GiveReport
from greenroom.supervisor.control.instances import RunningInstance

WITH_FOOTPRINTS: Final = GiveReport()
MEASURED: Final = 0.2
"""Seconds over which a single look measures how busy processes are."""


def run_status(arguments: Namespace) -> int:
    """Show all instances, and return the exit code (`greenroom.supervisor.cli.status.diagnostics`)."""
    with UntilReaderLeaves():
        if arguments.watch is None:
            return _once(arguments.instance, arguments.json)
        return _watch(arguments.instance, arguments.json, arguments.watch)
    return 0


def find_instances(pid: int | None) -> list[RunningInstance]:
    """Return the running instances of this user, or the one whose supervisor has this pid."""
    found = instances.running(instances.parents(os.environ))
    return found if pid is None else [one for one in found if one.instance.pid == pid]


def nothing_found(pid: int | None) -> str:
    """Return the text for an instance that does not exist."""
    return "no instance is running" if pid is None else f"no instance is running with pid {pid}"


def overview(
    found: Sequence[RunningInstance],
    observer: ProcessSampler,
    measured: float = 0.0,
    request: GiveReport = WITH_FOOTPRINTS,
) -> Overview:
    """Look at these instances and ask them; at least `measured` seconds lie between the first look and the last."""
    begun = time.monotonic()
    roots = [one.instance.pid for one in found]
    if measured:
        observer.look(roots)
    responses = _ask_for_reports([one.control for one in found], request)
    time.sleep(max(0.0, begun + measured - time.monotonic()))
    seen = observer.look(roots)
    statuses = [instance_status(one, responses[one.control], seen[one.instance.pid]) for one in found]
    judged = tuple(_judged(status) for status in statuses)
    code = exit_code(judged) if judged else NOTHING
    return Overview(at=time.time(), exit_code=code, instances=judged)


def _ask_for_reports(paths: Sequence[str], request: GiveReport) -> dict[str, ControlResponse]:
    """Ask for reports. Instances of versions that know no other request are asked for a whole one."""
    responses = ask(paths, request)
    refused = [path for path, response in responses.items() if isinstance(response.reply, ActionRefused)]
    if refused and request != WITH_FOOTPRINTS:
        responses |= ask(refused, WITH_FOOTPRINTS)
    return responses


def _judged(status: InstanceStatus) -> InstanceStatus:
    return status.model_copy(update={"troubles": troubles(status)})


def _once(pid: int | None, as_json: bool) -> int:
    found = find_instances(pid)
    printer = Printer(sys.stdout)
    view = overview(found, ProcessSampler(), MEASURED if found else 0.0)
    if as_json:
        sys.stdout.write(json.dumps(view.model_dump(mode="json"), indent=2) + "\n")
        sys.stdout.flush()
    elif found:
        printer.print(overview_page(view, printer.columns))
    if not found:
        complain(nothing_found(pid))
    return view.exit_code


def _watch(pid: int | None, as_json: bool, interval: float) -> int:
    """Show one page after the other until told to stop. The exit code is that of the last."""
    in_place = sys.stdout.isatty() and not as_json
    printer: Printer = Screen(sys.stdout) if in_place else Printer(sys.stdout)
    bell, observer = KeyListener(), ProcessSampler()
    with bell.handled():
        if not isinstance(printer, Screen):
            return _look_on(pid, as_json, interval, printer, bell, observer)
        with printer.shown():
            return _look_on(pid, as_json, interval, printer, bell, observer)


def _look_on(
    pid: int | None, as_json: bool, interval: float, printer: Printer, bell: KeyListener, observer: ProcessSampler
) -> int:
    measured = MEASURED
    while True:
        found = find_instances(pid)
        view = overview(found, observer, measured)
        measured = 0.0
        if as_json:
            printer.print([Text(json.dumps(view.model_dump(mode="json")))])
        else:
            printer.print(_watched(view, pid, interval, printer))
        bell.wait(interval)
        if bell.stopped:
            return view.exit_code
        if bell.take_suspension():
            printer.suspend()


def _watched(view: Overview, pid: int | None, interval: float, printer: Printer) -> list[Text]:
    clock = time.strftime("%H:%M:%S", time.localtime(view.at))
    hint = "  q: quit" if isinstance(printer, Screen) else ""
    room = printer.columns
    head = clipped(f"{clock}  {counted(len(view.instances), 'instance')}  every {interval:g} s{hint}", room, "dim")
    body = overview_page(view, room) if view.instances else [clipped(nothing_found(pid), room)]
    return [head, *body] if isinstance(printer, Screen) else [head, *body, Text()]

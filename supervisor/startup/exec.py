"""The run of `greenroom exec`: a server with one client, the command line, that ends with the one turn of it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from greenroom.protocol.failure import Failure
from greenroom.supervisor.frontend.exec.front import SERVICES, ExecFront
from greenroom.supervisor.frontend.exec.handover import Handover, RunOutcome
from greenroom.supervisor.frontend.exec.request import ExecRequest
from greenroom.supervisor.options import ServerOptions
from greenroom.supervisor.startup.prelaunch import Prelaunch
from greenroom.supervisor.startup.start import provide

if TYPE_CHECKING:
    from greenroom.supervisor.frontend.connection import Transport


class Presentation(NamedTuple):
    """How the run is told."""

    as_lines: bool
    """As lines for programs on standard output, instead of as text for people on standard error."""
    colored: bool
    prompt: str
    """Repeated to people."""
    last_message: int | None = None
    """Descriptor of the file for the agent's last message."""


def run_exec(options: ServerOptions, prelaunch: Prelaunch, request: ExecRequest, told: Presentation) -> int:
    """Run the turn, and return the exit status: 0 where it has ended by itself, else 1.

    Where SIGTERM or SIGHUP ends it, this process ends by that signal. Raises `GreenroomError`.
    """
    shows_answer = not (os.isatty(1) and os.isatty(2))
    stdout = _take_over_stdout()
    provisions = provide(options, prelaunch)
    front = _front(request, told, provisions.environment)

    from greenroom.supervisor.frontend.connection import Connection
    from greenroom.supervisor.frontend.exec.output import OutputPipe
    from greenroom.supervisor.startup.server import Server, open_logs

    def open_output(_: object, on_end: Callable[[], None], on_pressure: Callable[[bool], None]) -> "Transport":
        front.on_finished = on_end
        return OutputPipe(stdout if told.as_lines else 2, on_end, on_pressure)

    async def serve() -> signal.Signals | None:
        open_logs(options)
        server = Server(options, provisions, (SERVICES,))
        server.attach(Connection(front, open_output))
        await server.serve()
        return server.ended_by

    ended_by = asyncio.run(serve())
    outcome = front.outcome
    answer = outcome if isinstance(outcome, str) else None
    error = outcome.message if isinstance(outcome, Failure) and not front.is_told else None
    return _finish(told, stdout, RunOutcome(answer, error), ended_by, shows_answer=shows_answer)


def hand_over(home: str, mode: str, request: ExecRequest, told: Presentation, originator: str | None) -> int | None:
    """Have the turn run by the running host of the home, and return the exit status as `run_exec` does.

    `None`: there is none, and by this mode the run goes on by itself.
    """
    from greenroom.supervisor.startup.handed_over import HandedOver, find_exec_host

    found = find_exec_host(home, mode)
    if found is None or isinstance(found, int):
        return found
    shows_answer = not (os.isatty(1) and os.isatty(2))
    handover = Handover(
        overrides=request.overrides.decode(),
        items=request.items.decode(),
        title=request.title,
        resumed=request.resumed,
        output_schema=None if request.output_schema is None else request.output_schema.decode(),
        as_lines=told.as_lines,
        colored=told.colored,
        prompt=told.prompt,
        originator=originator,
        trace=request.trace,
    )
    handed = HandedOver(*found, 1 if told.as_lines else 2)
    ending = handed.run(handover)
    return _finish(told, 1, ending, handed.ended_by, shows_answer=shows_answer)


def _finish(
    told: Presentation, stdout: int, ending: RunOutcome, ended_by: signal.Signals | None, *, shows_answer: bool
) -> int:
    answer = ending.answer or ""
    if told.last_message is not None:
        _write_file(told.last_message, answer)
    if answer and shows_answer and not told.as_lines:
        _write_all(stdout, f"{answer}\n".encode())
    if ended_by in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    if ending.error is not None:
        sys.stderr.write(f"Error: {ending.error}\n")
    return 1 if ending.answer is None else 0


def _front(request: ExecRequest, told: Presentation, environment: Mapping[str, str]) -> ExecFront:
    if told.as_lines:
        from greenroom.supervisor.frontend.exec.event_lines import EventLines

        return ExecFront(request, EventLines(), environment)
    from greenroom.supervisor.frontend.exec.report_text import ReportText

    return ExecFront(request, ReportText(told.prompt, colored=told.colored), environment)


def _take_over_stdout() -> int:
    """Return standard output under another number; what is printed by mistake goes to standard error."""
    stdout = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return stdout


def _write_file(descriptor: int, answer: str) -> None:
    if not answer:
        sys.stderr.write("Warning: no last agent message; the file for it is empty\n")
    os.ftruncate(descriptor, 0)
    _write_all(descriptor, answer.encode())
    os.close(descriptor)


def _write_all(descriptor: int, data: bytes) -> None:
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        return  # its reader is gone

"""`greenroom doctor`: the process that runs the checks. It changes nothing, and ends within ten seconds."""

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

from greenroom.config.home import codex_home, home_name, load_dotenv
from greenroom.protocol.errors import ConfigError
from greenroom.runtime.process import hardening, orphans
from greenroom.supervisor.cli.doctor.check_context import CheckContext, NodeAim
from greenroom.supervisor.cli.doctor.examination import examine
from greenroom.supervisor.cli.doctor.page import doctor_page
from greenroom.supervisor.cli.doctor.report import DoctorReport, make_report, report_as_json
from greenroom.supervisor.cli.doctor.secret_texts import SecretTexts, environment_secrets, find_secrets
from greenroom.supervisor.cli.doctor.table import CHECKS, NODE_CHECKS, Check
from greenroom.supervisor.cli.output import UntilReaderLeaves, say
from greenroom.supervisor.cli.status.terminal import Printer
from greenroom.supervisor.startup.prelaunch import as_text
from greenroom.workers.sandbox.rules.features import probe
from greenroom.workers.sandbox.zygote_link import leave_zygote, start_shared_zygote

LOOK_SECONDS: Final = 1.0
"""Seconds that finding the home and reading its `.env` may take."""
END_SECONDS: Final = 0.5
"""Seconds that processes which were started have to end, once the checks are over."""

log = logging.getLogger(__name__)
T = TypeVar("T")


def run(arguments: argparse.Namespace) -> int:
    """Run all checks and print the report; return 0, 1 for warnings, 2 for failures."""
    begun = time.monotonic()
    context = _look_around((*arguments.early_config, *arguments.config), online=arguments.online)
    return _examine(CHECKS, context, arguments, begun)


def run_on_node(arguments: argparse.Namespace) -> int:
    """Do so with the checks of a machine that is to be a node, whose home is its state directory.

    Raises `ConfigError`.
    """
    from greenroom.supervisor.node.command import require_address, state_directory

    require_address(arguments.join)
    aim = NodeAim(
        arguments.join,
        state_directory(arguments.state),
        None if arguments.ticket is None else os.path.abspath(arguments.ticket),
        arguments.name,
        tuple(map(os.path.abspath, arguments.doctor)),
    )
    found = CheckContext(aim.state, _cwd(), dict(os.environ), node=aim)
    shown = argparse.Namespace(json=arguments.json, all=False, summary=False)
    return _examine(NODE_CHECKS, found, shown, time.monotonic())


def _examine(checks: Sequence[Check], context: CheckContext, arguments: argparse.Namespace, begun: float) -> int:
    os.environ.update(context.environment)  # what is reused reads proxies and certificates from there
    logging.getLogger().addHandler(logging.NullHandler())  # what is logged on the way is not for people
    hardening.adopt_orphans()
    hardening.make_undumpable()
    with suppress(OSError):  # no process can be made, which the checks of the sandbox and of the limits tell
        probe()  # forks, which has to happen before there are threads
        start_shared_zygote()
    secrets = _Background(lambda: find_secrets(context))
    results = examine(checks, context)
    leave_zygote()
    _Background(orphans.end_all_children).join(END_SECONDS)
    # A home that cannot be read in all that time has told nothing to the checks either.
    known = secrets.join(0.0) or SecretTexts(environment_secrets(context))
    if secrets.has_failed:
        results = [result.withheld() for result in results]
    home, seconds = as_text(context.home), time.monotonic() - begun
    report = make_report(results, known, home=home, at=time.time(), seconds=seconds)
    _print(report, arguments)
    return _leave(report.exit_code)


def look_around(
    environment: Mapping[str, str], config_overrides: tuple[str, ...] = (), *, online: bool = False
) -> CheckContext:
    """Return the surroundings of this process. A home or `.env` that cannot be used is noted, and found by a check."""
    home_fault = dotenv_fault = ""
    try:
        home = codex_home(environment)
    except ConfigError as error:
        home, home_fault = os.path.abspath(environment.get("CODEX_HOME", "") or "/"), str(error)
    merged = dict(environment)
    try:
        merged = load_dotenv(home, environment)
    except ConfigError as error:
        dotenv_fault = str(error)
    return CheckContext(
        home=home,
        cwd=_cwd(),
        environment=merged,
        config_overrides=config_overrides,
        online=online,
        home_name=home_name(environment),
        home_fault=home_fault,
        dotenv_fault=dotenv_fault,
    )


def _look_around(config_overrides: tuple[str, ...], *, online: bool) -> CheckContext:
    """Look around without waiting for a home that does not answer."""
    environment = dict(os.environ)
    looking = _Background(lambda: look_around(environment, config_overrides, online=online))
    found = looking.join(LOOK_SECONDS)
    if found is not None:
        return found
    home = home_name(environment)
    fault = f"{home} does not answer: its `.env` cannot be read"
    return CheckContext(home, _cwd(), environment, config_overrides, online, home, dotenv_fault=fault)


def _cwd() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return "/"


def _print(report: DoctorReport, arguments: argparse.Namespace) -> None:
    with UntilReaderLeaves():
        if arguments.json:
            say(report_as_json(report))
        else:
            printer = Printer(sys.stdout)
            printer.print(doctor_page(report, printer.columns, details=arguments.all, summary=arguments.summary))


def _leave(exit_code: int) -> int:
    """Return the exit code; where a thread hangs that the interpreter would wait for, end the process with it."""
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        sys.stderr.flush()
        os._exit(exit_code)
    return exit_code


class _Background(Generic[T]):
    """A call in a thread that nothing has to wait for."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._result: T | None = None
        self.has_failed = False
        """Whether the call has raised something."""
        self._thread = threading.Thread(target=self._run, args=(call,), name="background", daemon=True)
        self._thread.start()

    def join(self, seconds: float) -> T | None:
        """Return the result; `None` where there is none within so many seconds."""
        self._thread.join(seconds)
        return None if self._thread.is_alive() else self._result

    def _run(self, call: Callable[[], T]) -> None:
        try:
            self._result = call()
        except Exception:
            self.has_failed = True
            log.exception("a part of the preflight failed")

"""Fixtures of tests that start real processes."""

import contextlib
import gc
import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import HealthCheck, settings

from tests.support import launches, processes
from tests.support.server import give_up_tracing
from tests.support.stage import Stage
from tests.support.template import Template

Templates: TypeAlias = Callable[[pytest.FixtureRequest], Template | None]

# How long an example takes, or takes to make, depends on what else the machine does. Those that are the same in every
# run guard what has been found; `make explore` looks for more.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", UNTIMED, derandomize=True, max_examples=25)
settings.register_profile("explore", UNTIMED, derandomize=False, max_examples=1000, print_blob=True)
settings.load_profile("same")

MARKED: Mapping[str, pytest.MarkDecorator] = {
    "stage": pytest.mark.server,
    "shared_stage": pytest.mark.server,
    "engine": pytest.mark.server,
    "browser": pytest.mark.processes,
}
"""What the tests that take a fixture start: servers, or a browser with its many processes."""
LONG = (
    "tests/workers/jobs/test_planted_programs.py",
    "tests/supervisor/cli/dashboard/test_page.py",
    "tests/workers/tools/test_interactive_commands.py",
    "tests/workers/worktree/test_worktree.py",
)
"""Files that take a process a quarter of a minute, and that the others would wait for in the end."""
SHOWN = 0.1
"""Seconds above which what goes before or after a test may be among the slowest, which are shown."""


def pytest_configure() -> None:
    gc.disable()  # collecting tests makes no garbage, and to look for some takes as long as collecting them
    launches.watch()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background with interrupts ignored, and what the tests start would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts servers or a browser, for `make test-fast` to leave it out, and put long files first."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    for item in items:
        for name in MARKED.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKED[name])


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Look for garbage from now on, but not among the tests, which stay to the end."""
    gc.enable()
    gc.freeze()


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Send of a test in a process of its own what is shown: six messages for each take as long as half of the tests."""
    if not hasattr(item.config, "workerinput") or item.config.get_verbosity() > 0:
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed or report.duration > SHOWN:
            report.keywords = {}
            item.ihook.pytest_runtest_logreport(report=report)
    if nextitem is None:
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """No test starts a server without the marker by which `make test-fast` leaves it out.

    None leaves the process of the tests as one to which the orphans of all that follow come either.
    """
    try:
        yield
    finally:
        started = launches.taken()
        assert not started or item.get_closest_marker("server"), f"to be marked `server`: it starts {started[0]}"
        assert not processes.adopts_orphans()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-engine",
        action="store_true",
        help="run what takes an engine with each, also where it makes no difference",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each way in which the processes of a server come into being to tests for which it makes a difference."""
    if "engine" in metafunc.fixturenames:
        differs = metafunc.definition.get_closest_marker("both_engines") or metafunc.config.getoption("--every-engine")
        metafunc.parametrize("engine", ["fork", "spawn"] if differs else ["fork"])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Look for no garbage among the reports of all tests."""
    if config.pluginmanager.has_plugin("dsession"):
        gc.freeze()


@pytest.fixture(scope="session")
def _templates() -> Iterator[Templates]:
    """Start the template of servers on first use, for tests that may have forks of it."""
    with contextlib.ExitStack() as stack:
        started: list[Template] = []

        def template_for(request: pytest.FixtureRequest) -> Template | None:
            if request.node.get_closest_marker("executed"):
                return None
            if not started:
                started.append(Template(give_up_tracing))
                stack.callback(started[0].close)
            return started[0]

        yield template_for


@pytest.fixture(scope="module")
def _module_directory(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Iterator[int]]:
    return tmp_path_factory.mktemp("m"), itertools.count()


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, _module_directory: tuple[Path, Iterator[int]]) -> Path:
    """A directory for a test alone, in one for its module.

    That of pytest lies among those of all tests. What lies beside a directory that a command must not see is granted
    to it entry by entry, and so each command would cost more than the one before.
    """
    parent, numbers = _module_directory
    name = re.sub(r"\W", "_", request.node.name)[:30]
    path = parent / f"{name}{next(numbers)}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def lifeline() -> Iterator[int]:
    """What tells our processes that we live."""
    reader, writer = os.pipe()
    yield reader
    os.close(reader)
    os.close(writer)


@pytest.fixture(scope="module")
def shared_stage(
    request: pytest.FixtureRequest, _templates: Templates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """A stage for those tests of a module that change nothing that the others see."""
    built = Stage(tmp_path_factory.mktemp("shared"), _templates(request))
    yield built
    built.strike()


@pytest.fixture
def stage(request: pytest.FixtureRequest, _templates: Templates, tmp_path: Path) -> Iterator[Stage]:
    """A home, a workspace and, on demand, models and servers, of which nothing is left at the end."""
    built = Stage(tmp_path, _templates(request))
    yield built
    built.strike()

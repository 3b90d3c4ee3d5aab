"""`python -m tests.on_interpreters`: the demo and a part of the tests on every other CPython of the machine.

The part is what may depend on the version: everything that starts processes, forks, or looks into the interpreter. What
cannot be run is named with the reason. Words after it go to pytest.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.interpreters import VERSIONS, Uninstalled, Version, installed

ROOT: Final = Path(__file__).parents[1]
PART: Final = (
    "tests/runtime",
    "tests/protocol",
    "tests/demo",
    "tests/supervisor/processes",
    "tests/supervisor/frontend/app_server",
    "tests/workers/sandbox",
    "tests/workers/test_started_programs.py",
    "tests/server/test_attach.py",
    "tests/server/test_exec.py",
    "tests/server/test_host.py",
    "tests/server/test_http_host.py",
    "tests/server/test_mcp_servers.py",
    "tests/server/test_processes.py",
    "tests/server/test_signals.py",
    "tests/server/test_turns.py",
    "tests/conformance/test_official_client.py",
    "tests/chaos/test_killed_worker.py",
    "tests/chaos/test_killed_helpers.py",
)
"""Of the tests, below the root."""
SHORT_PART: Final = (
    "tests/runtime/process/test_footprint.py",
    "tests/runtime/process/test_hardening.py",
    "tests/runtime/process/test_malloc.py",
    "tests/runtime/process/test_orphans.py",
    "tests/runtime/process/test_spawn.py",
    "tests/runtime/zmq/test_zap.py",
    "tests/supervisor/processes/test_exits.py",
    "tests/supervisor/processes/engines/test_fork_engine.py",
    "tests/supervisor/processes/engines/test_fork_server.py",
    "tests/supervisor/processes/test_tree.py",
)
"""What every run of the tests tries on every version, in some four seconds of CPU each: processes, forks and memory."""
PROCESSES: Final = 3


class Outcome(NamedTuple):
    """What came of one version."""

    version: Version
    text: str
    has_failed: bool = False


def main(words: Sequence[str]) -> int:
    """Run everything; return 1 if something has failed."""
    outcomes = [_run(version, words) for version in VERSIONS if version != sys.version_info[:2]]
    print()
    for outcome in outcomes:
        print("CPython {}.{}: {}".format(*outcome.version, outcome.text))
    return int(any(outcome.has_failed for outcome in outcomes))


def demo(programs: Path) -> "subprocess.CompletedProcess[str]":
    """Run the demo with the programs of an environment: a whole server with its conversations, from start to end."""
    return subprocess.run(
        (str(programs / "greenroom"), "demo"), capture_output=True, text=True, timeout=120, check=False
    )


def short_part(programs: Path) -> "subprocess.CompletedProcess[str]":
    """Run `SHORT_PART` with the programs of an environment, one test after the other."""
    command = (str(programs / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *SHORT_PART)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=300, check=False)


def _run(version: Version, words: Sequence[str]) -> Outcome:
    programs = installed(version)
    if isinstance(programs, Uninstalled):
        return Outcome(version, f"skipped: {programs.reason}")
    print("-- CPython {}.{}".format(*version), flush=True)
    shown = demo(programs)
    if shown.returncode:
        print(shown.stdout, shown.stderr, sep="\n")
        return Outcome(version, f"`greenroom demo` has ended with {shown.returncode}", has_failed=True)
    xdist = (f"--numprocesses={min(PROCESSES, (os.cpu_count() or 1) + 1)}", "--dist=loadfile")
    ended = subprocess.run(
        (str(programs / "python"), "-m", "pytest", "-p", "no:cacheprovider", *xdist, *PART, *words),
        cwd=ROOT,
        check=False,
    )
    if ended.returncode:
        return Outcome(version, f"the tests have ended with {ended.returncode}", has_failed=True)
    return Outcome(version, "the demo and the tests have passed; what pytest has skipped is named above")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`greenroom status` tells how an instance is, also while it hangs, in each of its three forms (promise P9)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

import jsonschema
import psutil
import pytest
from rich.cells import cell_len as width

from greenroom.supervisor.cli.status.overview import Overview
from greenroom.supervisor.control import instances
from tests.supervisor.cli.status.screen import Screen, on_a_terminal
from tests.supervisor.cli.status.stand_in import Part
from tests.supervisor.cli.status.stand_ins import COMMAND, House, StandIn, command
from tests.support import forked

pytestmark = pytest.mark.processes

ID = "01a20312-0577-77d3-9bb9-ad78bbf82560"
REPORT = {
    "processes": [
        {"role": "fork_server", "pid": "$fork_server", "state": "ready"},
        {"role": "broker", "pid": "$broker", "state": "ready"},
        {"role": "worker", "pid": "$worker0", "state": "hosting", "conversation_id": ID},
    ],
    "conversations": [
        {
            "id": ID,
            "state": "running",
            "incarnation": 1,
            "pid": "$worker0",
            "turn": {"id": "t-1", "age": 72.4, "doing": "running the tool shell"},
            "title": "Mend the build",
        }
    ],
}
WELL = Part(report=json.dumps(REPORT))
FAILED = Part(report=json.dumps(REPORT | {"conversations": [{"id": ID, "state": "failed", "incarnation": 6}]}))


def status(house: House, stand_in: StandIn, *more: str) -> "subprocess.CompletedProcess[str]":
    """Ask about one stand-in: others of this user may run beside it."""
    return house.run("status", "--instance", str(stand_in.pid), *more, COLUMNS="80")


def overview(house: House, stand_in: StandIn) -> tuple[Overview, int]:
    told = status(house, stand_in, "--json")
    assert told.stderr == ""
    return Overview.model_validate_json(told.stdout), told.returncode


def test_an_instance_that_is_well_is_code_0(house: House) -> None:
    told = status(house, house.engage(WELL))
    assert (told.returncode, told.stderr) == (0, "")
    assert "greenroom 0.1.0" in told.stdout
    assert "up 1h02m" in told.stdout
    (row,) = (line for line in told.stdout.splitlines() if line.startswith("ad78bbf82560"))
    assert row.split()[1:3] == ["running", "1m12s"]
    assert row.endswith("running the tool shell")
    assert all(width(line) <= 80 for line in told.stdout.splitlines())


def test_no_instance_is_code_1(house: House) -> None:
    told = house.run("status", "--instance", str(os.getpid()))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"greenroom: no instance is running with pid {os.getpid()}\n"
    told = house.run("status", "--instance", str(os.getpid()), "--json")
    assert told.returncode == 1
    assert Overview.model_validate_json(told.stdout).instances == ()


def test_all_instances_of_this_user_are_shown(house: House) -> None:
    pids = {house.engage().pid for _ in range(2)}
    told = house.run("status", "--json")
    assert pids <= {one.instance.pid for one in Overview.model_validate_json(told.stdout).instances}


def test_a_stopped_supervisor_is_code_2_and_what_can_be_seen_is_shown(house: House) -> None:
    stand_in = house.engage(replace(WELL, workers=2, commands=1))
    stand_in.stop()
    begun = time.monotonic()
    told = status(house, stand_in)
    assert time.monotonic() - begun < 5
    assert told.returncode == 2
    assert "! does not answer; its last sign of life was " in told.stdout
    assert f"! the supervisor (pid {stand_in.pid}) is stopped" in told.stdout
    rows = [line.split()[:3] for line in told.stdout.splitlines()]
    assert rows[-5:] == [
        ["supervisor", "stopped", str(stand_in.pid)],
        ["fork-server", "sleeping", str(stand_in.pids["fork_server"])],
        ["broker", "sleeping", str(stand_in.pids["broker"])],
        ["worker", "sleeping", str(stand_in.pids["worker0"])],
        ["worker", "sleeping", str(stand_in.pids["worker1"])],
    ]


def test_since_when_an_instance_does_not_answer_is_told(house: House) -> None:
    stand_in = house.engage(WELL)
    stand_in.stop()
    facts = os.path.join(stand_in.directory, instances.FACTS)
    os.utime(facts, (time.time() - 3700, time.time() - 3700))
    told = status(house, stand_in)
    assert "its last sign of life was 1h01m ago" in told.stdout
    view, _ = overview(house, stand_in)
    assert view.instances[0].seen_at == pytest.approx(time.time() - 3700, abs=20)


def test_one_that_answers_again_is_well_again(house: House) -> None:
    stand_in = house.engage(WELL)
    stand_in.stop()
    assert status(house, stand_in).returncode == 2
    os.kill(stand_in.pid, signal.SIGCONT)
    assert status(house, stand_in).returncode == 0


@pytest.mark.parametrize(("manner", "reply"), [("mute", "silent"), ("deaf", "shut")])
def test_one_that_runs_and_does_not_answer_is_code_2(house: House, manner: Literal["mute", "deaf"], reply: str) -> None:
    stand_in = house.engage(replace(WELL, manner=manner))
    view, code = overview(house, stand_in)
    assert (code, view.exit_code, view.instances[0].reply) == (2, 2, reply)


def test_a_stopped_worker_is_code_3_and_named(house: House) -> None:
    stand_in = house.engage(WELL)
    worker = stand_in.pids["worker0"]
    stand_in.stop(worker)
    told = status(house, stand_in)
    assert told.returncode == 3
    assert f"! the worker of ad78bbf82560 (pid {worker}) is stopped" in told.stdout
    (row,) = (line for line in told.stdout.splitlines() if line.startswith("ad78bbf82560"))
    assert row.split()[1] == "stopped"


def test_a_failed_conversation_is_code_3(house: House) -> None:
    told = status(house, house.engage(FAILED))
    assert told.returncode == 3
    assert "conversation ad78bbf82560 died too often" in told.stdout


def test_an_instance_that_fails_to_tell_is_code_3(house: House) -> None:
    told = status(house, house.engage(Part(manner="failing")))
    assert told.returncode == 3
    assert "! does not tell: the instance failed to answer (ValueError)" in told.stdout


def test_processes_that_nobody_may_look_into_are_shown(house: House) -> None:
    """Like Greenroom's processes: `PR_SET_DUMPABLE` is off, and the command has no right that users do not have."""
    stand_in = house.engage(replace(WELL, commands=2, undumpable=True))
    told = house.run_program("status", "--instance", str(stand_in.pid), "--json")
    assert (told.returncode, told.stderr) == (0, "")
    view = Overview.model_validate_json(told.stdout)
    (one,) = view.instances
    assert [process.role for process in one.processes] == ["supervisor", "fork_server", "broker", "worker"]
    worker = one.processes[-1]
    assert worker.children == 2
    assert worker.seen is not None
    assert worker.seen.uss is None
    assert worker.seen.rss > 0
    assert worker.seen.cpu_percent is not None


def test_json_is_what_its_schema_says(house: House) -> None:
    well, silent = house.engage(WELL), house.engage(WELL)
    silent.stop()
    schema = Overview.model_json_schema(mode="serialization")
    for stand_in in (well, silent):
        told = status(house, stand_in, "--json")
        content = json.loads(told.stdout)
        jsonschema.validate(content, schema)
        assert content["version"] == 1
        assert content["exit_code"] == told.returncode
    assert Overview.model_validate_json(told.stdout).model_dump(mode="json") == content


def test_a_reader_that_leaves_early_is_no_fault(house: House) -> None:
    stand_in = house.engage(WELL)
    program = (sys.executable, "-I", "-c", COMMAND, "status", "--instance", str(stand_in.pid), "--watch", "0.1")
    with subprocess.Popen(
        program, env=house.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("variables", "is_styled"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, False), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_is_styled_unless_told_otherwise(house: House, variables: dict[str, str], is_styled: bool) -> None:
    stand_in = house.engage(WELL)
    environment = {**house.environment, "TERM": "xterm", **variables}
    words = ("status", "--instance", str(stand_in.pid))
    with on_a_terminal(lambda: command(words), environment) as (screen, process):
        screen.until(screen.has("running the tool shell"))
        assert process.wait(20) == 0
        assert ("\x1b[1mgreenroom" in screen.raw) == is_styled
        assert is_styled or "\x1b" not in screen.raw


# --watch


def watching(stand_in: StandIn, *more: str) -> forked.Main:
    words = ("status", "--instance", str(stand_in.pid), "--watch", "0.2", *more)
    return lambda: command(words)


@contextmanager
def watched(house: House, stand_in: StandIn, *more: str) -> Iterator[forked.Forked]:
    """Run it without a terminal."""
    process = forked.Forked(watching(stand_in, *more), house.environment)
    process.hang_up()
    try:
        yield process
    finally:
        process.close()


def cursor_is_hidden(screen: Screen) -> bool:
    return not screen.cursor_shown


def test_the_live_table_follows_what_happens(house: House) -> None:
    stand_in = house.engage(WELL)
    with on_a_terminal(watching(stand_in), house.environment) as (screen, process):
        text = screen.until(screen.has("running the tool shell"))
        assert text[0].endswith("1 instance  every 0.2 s  q: quit")
        assert screen.alternate
        assert cursor_is_hidden(screen)
        stand_in.stop()
        screen.until(screen.has("! does not answer"))
        os.kill(stand_in.pid, signal.SIGCONT)
        screen.until(screen.has("running the tool shell"))
        assert "does not answer" not in "\n".join(screen.text())
        stand_in.stop(stand_in.pids["worker0"])
        screen.until(screen.has("is stopped by a signal"))
        screen.type("q")
        screen.until(lambda screen: not screen.alternate)
        assert screen.cursor_shown
        assert screen.wraps
        assert process.wait(20) == 3


def test_the_live_table_fits_every_window(house: House) -> None:
    stand_in = house.engage(WELL)
    with on_a_terminal(watching(stand_in), house.environment, columns=80, lines=24) as (screen, process):
        assert "CPU%" in "\n".join(screen.until(screen.has("running the tool shell")))
        screen.resize(40, 6)
        text = screen.until(screen.has("more lines"))
        assert text[-1].startswith("…")
        screen.resize(200, 24)
        text = screen.until(screen.has("Mend the build"))
        assert screen.has("THR")(screen)
        process.send_signal(signal.SIGINT)
        screen.until(lambda screen: not screen.alternate)
        assert process.wait(20) == 0


def test_a_live_table_that_is_suspended_gives_the_terminal_back(house: House) -> None:
    stand_in = house.engage(WELL)
    with on_a_terminal(watching(stand_in), house.environment) as (screen, process):
        screen.until(screen.has("running the tool shell"))
        screen.type("\x1a")
        screen.until(lambda screen: not screen.alternate)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            os.sched_yield()
        process.send_signal(signal.SIGCONT)
        screen.until(screen.has("running the tool shell"))
        assert screen.alternate
        screen.type("q")
        assert process.wait(20) == 0


def test_the_live_table_outlives_its_instance(house: House) -> None:
    stand_in = house.engage(WELL)
    with on_a_terminal(watching(stand_in), house.environment) as (screen, process):
        screen.until(screen.has("running the tool shell"))
        stand_in.close()
        house.stand_ins.remove(stand_in)
        screen.until(screen.has(f"no instance is running with pid {stand_in.pid}"))
        screen.type("q")
        assert process.wait(20) == 1


def test_without_a_terminal_pages_follow_each_other(house: House) -> None:
    stand_in = house.engage(WELL)
    with watched(house, stand_in) as process:
        lines = iter(process.stdout.readline, "")
        pages = 0
        while pages < 3:
            line = next(lines)
            assert "\x1b" not in line
            pages += line.startswith("greenroom 0.1.0")
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(20) == 0


def test_json_can_be_watched_line_by_line(house: House) -> None:
    stand_in = house.engage(WELL)
    with watched(house, stand_in, "--json") as process:
        first, second = (Overview.model_validate_json(process.stdout.readline()) for _ in range(2))
        assert first.at < second.at
        seen = second.instances[0].processes[0].seen
        assert seen is not None
        assert seen.cpu_percent is not None
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 0

"""Commands are found among the processes of an instance, and whose they are."""

from collections.abc import Mapping
from typing import Final

from greenroom.protocol.report import Role
from greenroom.supervisor.cli.status.command_finder import FoundCommands, find_commands
from greenroom.supervisor.cli.status.seen_process import SeenProcess
from tests.supervisor.cli.status.sights import process

ROLES: Final[Mapping[int, Role]] = {1: "supervisor", 2: "fork_server", 3: "zygote", 10: "worker", 11: "worker"}
OWN: Final = (
    process(1, 0, "greenroom"),
    process(2, 1, "gr-forkserver"),
    process(3, 2, "gr-zygote"),
    process(10, 2, "gr-worker", below_cpu_percent=0.0),
    process(11, 2, "gr-worker", below_cpu_percent=0.0),
)


def found(*more: SeenProcess, roles: Mapping[int, Role] = ROLES) -> FoundCommands:
    return find_commands([*OWN, *more], roles)


def pids(commands: FoundCommands, worker: int) -> list[int]:
    return [one.pid for one in commands.of_worker(worker)]


def test_what_is_below_a_monitor_is_of_the_worker_in_its_name() -> None:
    commands = found(
        process(20, 3, "gr-mon 10", below_cpu_percent=50.0),
        process(21, 20, "make"),
        process(22, 21, "cc"),
        process(30, 3, "gr-mon 11", below_cpu_percent=7.0),
        process(31, 30, "sleep"),
        process(40, 3, "gr-mon 10", below_cpu_percent=1.5),
        process(41, 40, "cat"),
    )
    assert (pids(commands, 10), pids(commands, 11)) == ([21, 22, 41], [31])
    assert (commands.cpu_percent(10), commands.cpu_percent(11)) == (51.5, 7.0)
    assert [(one.seen.pid, one.parent) for one in commands.found] == [(21, 3), (22, 21), (31, 3), (41, 3)]
    assert commands.count_below(3) == 4, "monitors are none"


def test_a_monitor_that_waits_and_its_child_are_no_commands() -> None:
    commands = found(process(20, 3, "gr-monitor"), process(21, 20, "gr-monitor"), process(22, 21, "x"))
    assert commands.found == []


def test_what_is_below_a_worker_is_its_own() -> None:
    worker = process(12, 2, "gr-worker", below_cpu_percent=30.0)
    commands = found(worker, process(20, 12, "mcp-server"), roles={**ROLES, 12: "worker"})
    assert pids(commands, 12) == [20]
    assert commands.cpu_percent(12) == 30.0


def test_a_zygote_of_a_worker_and_what_is_below_it_count_once_whether_it_was_told_of_or_not() -> None:
    worker = process(12, 2, "gr-worker", below_cpu_percent=30.0)
    tree = (worker, process(13, 12, "gr-zygote"), process(20, 13, "gr-mon 12", below_cpu_percent=29.0))
    told: Mapping[int, Role] = {**ROLES, 12: "worker", 13: "zygote"}
    for roles in (told, {**ROLES, 12: "worker"}):
        commands = found(*tree, process(21, 20, "make"), roles=roles)
        assert pids(commands, 12) == [21]
        assert commands.cpu_percent(12) == 30.0


def test_names_prove_nothing_further_down() -> None:
    commands = found(
        process(20, 3, "gr-mon 10"),
        process(21, 20, "gr-mon 11"),
        process(22, 21, "gr-monitor"),
        process(23, 22, "gr-zygote"),
    )
    assert pids(commands, 10) == [21, 22, 23]
    assert pids(commands, 11) == []


def test_an_orphan_below_the_zygote_is_nobodys() -> None:
    for name in ("orphan", "gr-mon x", "gr-mon ", "gr-mon \u0661"):
        commands = found(process(20, 3, name))
        assert [(one.seen.pid, one.worker) for one in commands.found] == [(20, None)]

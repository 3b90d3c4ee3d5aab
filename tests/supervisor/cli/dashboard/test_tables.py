"""Pages are told what changes, and have the whole of it at any time; every text is safe to show."""

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.protocol.display import clean
from greenroom.protocol.report import Report
from greenroom.supervisor.cli.dashboard.samples import KEPT, Samples
from greenroom.supervisor.cli.dashboard.snapshot import COMMAND, MOST_COMMANDS, snapshot
from greenroom.supervisor.cli.dashboard.tables import EMPTY, NAMES, DashboardTables, apply_changes, changes_between
from tests.protocol.test_report import REPORTS
from tests.supervisor.cli.dashboard import scenes
from tests.supervisor.cli.status.sights import BROKER, NOW, conversation, process, report, sight, view

ROWS = st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 2), max_size=2))
TABLES = st.fixed_dictionaries(dict.fromkeys(NAMES, ROWS))


@given(st.lists(TABLES, min_size=1, max_size=4))
def test_applying_all_changes_leads_to_the_same_tables(states: list[DashboardTables]) -> None:
    held: DashboardTables = EMPTY
    for state in states:
        told = json.loads(msgspec.json.encode(changes_between(held, state)))
        held = apply_changes(held, told)
        assert held == state
        assert changes_between(held, state) == {}


@given(REPORTS)
@settings(max_examples=20)
def test_any_report_is_shown_and_no_text_of_it_controls_or_hides_anything(told: Report) -> None:
    tables = snapshot(view(sight(told)))
    assert json.loads(msgspec.json.encode(tables)) == tables
    assert set(tables) == set(NAMES)
    for text in texts(tables):
        assert text == clean(text)


def texts(value: object) -> Iterator[str]:
    """Yield the texts within a value, but for the names of rows and columns."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def test_ages_that_go_on_are_no_changes() -> None:
    def state(later: float) -> Report:
        turn = {"id": "t-1", "age": 72.4 + later * 1.02, "doing": "running the tool shell"}
        told = report(conversations=(conversation(turn=turn), conversation(id="c-2", turn=None, idle_for=9.0 + later)))
        return told.model_copy(update={"at": NOW + later})

    first = snapshot(view(sight(state(0.0))))
    second = snapshot(view(sight(state(30.0))), first)
    assert changes_between(first, second) == {}
    turned = conversation(turn={"id": "t-2", "age": 73.0})
    third = snapshot(view(sight(report(conversations=(turned,)))), second)
    (row,) = third["conversations"].values()
    assert row["turnSince"] == NOW - 73.0, "another turn has another beginning"


def test_what_the_kernel_sees_of_a_stuck_process_comes_first() -> None:
    tables = snapshot(scenes.busy())
    (stuck,) = [row for row in tables["conversations"].values() if row["broken"]]
    assert (stuck["state"], stuck["broken"]) == ("running", "stopped")
    (instance,) = tables["instances"].values()
    assert [trouble["kind"] for trouble in instance["troubles"]] == ["process_stopped"]  # type: ignore[attr-defined]


def test_commands_count_for_the_conversation_that_runs_them_and_are_in_the_tree() -> None:
    status = scenes.instance(count=2)
    worker = status.instance.pid + 10
    tables = snapshot(view(status))
    row = tables["conversations"][f"{status.instance.pid}/{scenes.conversation_id(0)}"]
    own = next(one.seen for one in status.processes if one.pid == worker)
    assert own is not None
    assert own.cpu_percent is not None
    assert (row["commands"], row["commandsCpu"], row["commandsMemory"]) == (2, 91.0, (31 + 120) << 20)
    assert row["cpu"] == round(own.cpu_percent + 91.0, 1)
    assert row["memory"] == pytest.approx(own.rss + ((31 + 120) << 20), abs=1 << 17)
    other = tables["conversations"][f"{status.instance.pid}/{scenes.conversation_id(1)}"]
    assert (other["commands"], other["commandsCpu"], other["commandsMemory"]) == (0, None, None)
    commands = [one for one in tables["processes"].values() if one["role"] == COMMAND]
    assert [(one["text"], one["parent"]) for one in commands] == [
        ("make test", status.instance.pid + 3),
        ("python -m pytest -q", status.instance.pid + 5),
    ]
    assert {one["conversation"] for one in commands} == {scenes.conversation_id(0)}
    cpu = sum(one.seen.cpu_percent or 0.0 for one in status.processes if one.seen is not None)
    assert tables["totals"]["all"]["cpu"] == round(cpu + 91.0, 1)


def test_so_many_commands_are_listed_and_all_are_counted() -> None:
    status = scenes.instance(count=2)
    seen = [one.seen for one in status.processes if one.seen is not None]
    pid = status.instance.pid
    crowd = [process(pid + 4, pid + 3, f"gr-mon {pid + 10}")]
    crowd += [process(60_000 + number, pid + 4, "x") for number in range(2 * MOST_COMMANDS)]
    assert status.report is not None
    tables = snapshot(view(scenes.of(status.report, [*seen, *crowd])))
    assert len([one for one in tables["processes"].values() if one["role"] == COMMAND]) == MOST_COMMANDS
    assert tables["conversations"][f"{pid}/{scenes.conversation_id(0)}"]["commands"] == 2 * MOST_COMMANDS


def test_an_instance_that_does_not_answer_is_shown_by_what_the_kernel_tells() -> None:
    tables = snapshot(scenes.silent())
    (instance,) = tables["instances"].values()
    assert (instance["reply"], instance["seenAt"]) == ("silent", NOW - 12)
    assert tables["conversations"] == {}
    assert {row["role"] for row in tables["processes"].values()} >= {"supervisor", "fork_server", "broker", "worker"}


def test_deaths_limits_nodes_and_clients_have_rows() -> None:
    tables = snapshot(scenes.busy())
    dead = list(tables["deaths"].values())
    assert [row["process"] for row in dead] == ["w-01a", "broker"]
    assert dead[0]["words"] == [
        "info a turn begins",
        "info tool shell: make test",
        "warning 1.5 GiB are used of 2 GiB (worker_memory_mb)",
        "warning 1.9 GiB are used of 2 GiB (worker_memory_mb)",
    ]
    assert [(row["interval"], row["waiting"], row["freeAt"]) for row in tables["paces"].values()] == [
        (2.4, 6, NOW + 14.0),
        (0.18, 0, None),
    ]
    assert [row["state"] for row in tables["nodes"].values()] == ["ready", "away"]
    assert [row["name"] for row in tables["clients"].values()] == ["claude-code", "agents-sdk"]


def test_totals_are_of_the_processes_of_this_machine() -> None:
    seen = (process(100, 1, "greenroom", cpu_percent=1.5), process(BROKER, 100, "gr-broker", cpu_percent=None))
    (total,) = snapshot(view(sight(tree=seen)))["totals"].values()
    assert total["cpu"] == 1.5
    assert total["memory"] == 2 * 31 << 20


def test_curves_have_the_last_samples_of_what_is_there() -> None:
    samples, moving = Samples(), scenes.Moving(scenes.busy())
    for _ in range(KEPT + 10):
        samples.add(snapshot(moving.look()))
    curves = samples.curves()
    working = f"41200/{scenes.conversation_id(0)}"
    assert len(curves["conversations"][working]["cpu"]) == KEPT
    assert len(curves["totals"]["all"]["memory"]) == KEPT
    assert f"41200/{scenes.conversation_id(6)}" not in curves["conversations"], "it has no process"
    samples.add(snapshot(scenes.nothing()))
    assert samples.curves()["conversations"] == {}

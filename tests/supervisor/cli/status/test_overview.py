"""What an instance says and what is seen of it are put together without mistaking one process for another."""

import msgspec

from greenroom.supervisor.cli.status.control_client import ControlResponse
from greenroom.supervisor.control.control_messages import ActionDone, ActionRefused, Reported
from tests.supervisor.cli.status.sights import (
    BROKER,
    COMMAND,
    FORK_SERVER,
    ID,
    SPARE,
    SUPERVISOR,
    TREE,
    WORKER,
    report,
    sight,
)
from tests.supervisor.cli.status.sights import process as seen

SILENT = ControlResponse("silent", seconds=1.0)


def test_each_process_is_known_from_both_sides() -> None:
    status = sight()
    assert [(one.role, one.pid) for one in status.processes] == [
        ("supervisor", SUPERVISOR),
        ("fork_server", FORK_SERVER),
        ("broker", BROKER),
        ("worker", WORKER),
        ("worker", SPARE),
    ]
    assert all(one.seen is not None and one.entry is not None for one in status.processes)
    assert [one.conversation_id for one in status.processes] == [None, None, None, ID, None]


def test_commands_are_counted_below_their_worker() -> None:
    deeper = (*TREE, seen(900, COMMAND, "cc1"), seen(901, 900, "as"))
    assert {one.pid: one.children for one in sight(tree=deeper).processes if one.children} == {WORKER: 3}


def test_a_silent_instance_is_known_by_the_names_of_its_processes() -> None:
    status = sight(response=SILENT)
    assert status.reply == "silent"
    assert status.report is None
    assert [one.role for one in status.processes] == ["supervisor", "fork_server", "broker", "worker", "worker"]
    assert all(one.entry is None for one in status.processes)


def test_a_command_that_calls_itself_a_worker_is_a_command() -> None:
    impostor = seen(900, COMMAND, "gr-worker")
    status = sight(response=SILENT, tree=(*TREE, impostor, seen(901, WORKER, "gr-broker")))
    assert 900 not in [one.pid for one in status.processes]
    assert {one.pid: one.children for one in status.processes}[WORKER] == 3


def test_orphans_of_a_fork_server_belong_to_the_supervisor() -> None:
    tree = [seen(one.pid, SUPERVISOR, one.name) if one.name == "gr-worker" else one for one in TREE]
    assert [one.role for one in sight(response=SILENT, tree=tree).processes].count("worker") == 2


def test_a_process_that_has_just_ended_is_still_told_of() -> None:
    status = sight(tree=[one for one in TREE if one.pid != SPARE])
    (gone,) = (one for one in status.processes if one.pid == SPARE)
    assert gone.seen is None
    assert gone.entry is not None


def test_answers_that_are_no_reports_are_told_apart() -> None:
    later = Reported(msgspec.Raw(msgspec.json.encode(report().model_dump(mode="json") | {"version": 2})))
    replies = (
        ControlResponse("answered", later),
        ControlResponse("answered", ActionDone("so be it")),
        ControlResponse("garbled"),
        ControlResponse("shut"),
    )
    assert [sight(response=heard).reply for heard in replies] == ["unreadable", "unreadable", "unreadable", "shut"]
    refused = sight(response=ControlResponse("answered", ActionRefused("not you")))
    assert (refused.reply, refused.refusal) == ("refused", "not you")

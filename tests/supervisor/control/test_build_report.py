"""A report is made of the supervisor's tables as they are, and has a bound however long they are."""

import msgspec
import pytest

from greenroom.config.defaults import Limits
from greenroom.protocol.approval import CommandQuestion
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, Incarnation, NodeName, TurnId, WorkerId
from greenroom.protocol.internal.broker.answers import PaceStanding
from greenroom.protocol.internal.worker.notices import OwnZygote, TurnProgress
from greenroom.protocol.report import (
    MAX_CONVERSATIONS,
    MAX_DEATHS,
    PaceEntry,
    ProcessEntry,
    Report,
    Statistics,
)
from greenroom.supervisor.control.build_report import Tables, report
from greenroom.supervisor.control.instances import this_instance
from greenroom.supervisor.conversations.state.conversation import Conversation, Placement, Pulse
from greenroom.supervisor.conversations.state.open_question import OpenQuestion
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Nobody
from greenroom.supervisor.processes.exits import ExitRecord
from greenroom.supervisor.processes.memory_report import SUPERVISOR_ID, ProcessFootprint

NOW = 1000.0
INSTANCE = this_instance("/home", "fork")
HOST = WorkerId("w-1")
PIDS = {HOST: 4242}

QUESTION = CommandQuestion(call_id="c", command=["ls"], shell_text="ls", cwd="/", parts=[])


def conversation(number: int, **facts: object) -> Conversation:
    made = Conversation(ConversationId(f"c-{number}"), b"{}", resume="no")
    for name, value in facts.items():
        setattr(made, name, value)
    return made


def turn(of: Conversation) -> ConversationTurn:
    return ConversationTurn(TurnId("t-1"), of.id, b"[]", Nobody())


def running() -> Conversation:
    """Make a conversation that has run a turn for seven seconds and was heard of two seconds ago."""
    made = conversation(1, state="running", incarnation=Incarnation(2), worker_id=HOST)
    made.running = turn(made)
    questions = {number: OpenQuestion(number, made.running, QUESTION) for number in (1, 2)}
    made.pulse = Pulse(
        heard_at=NOW - 2,
        started_at=NOW - 7,
        progress=TurnProgress(doing="waiting for the model", unsent=5),
        questions=questions,
    )
    made.tokens = 99
    made.enqueue(turn(made))
    made.on_death(NOW - 30)
    return made


def death(number: int, conversation_id: str | None = None) -> ExitRecord:
    of = None if conversation_id is None else ConversationId(conversation_id)
    return ExitRecord(float(number), WorkerId(f"w-{number}"), number, "signal 9 (SIGKILL)", 1024, conversation_id=of)


def tables(*conversations: Conversation, deaths: tuple[ExitRecord, ...] = (), **more: object) -> Tables:
    facts = {
        "instance": INSTANCE,
        "conversations": conversations,
        "deaths": deaths,
        "pid_of": PIDS.get,
        "limits": Limits(),
        "statistics": Statistics(open_calls=1),
    }
    return Tables(**(facts | more))  # type: ignore[arg-type]


def test_a_running_conversation_is_told_of_with_its_worker() -> None:
    told = report(tables(running()), NOW)
    (entry,) = told.conversations
    assert (entry.state, entry.incarnation, entry.pid, entry.queued) == ("running", 2, 4242, 1)
    assert (entry.tokens, entry.restarts, entry.approvals, entry.idle_for) == (99, 1, 2, None)
    assert entry.turn is not None
    assert (entry.turn.age, entry.turn.doing) == (7.0, "waiting for the model")
    host = told.processes[-1]
    assert (host.role, host.pid, host.state, host.conversation_id) == ("worker", 4242, "hosting", "c-1")
    assert host.heard_ago == 2.0
    assert host.own is not None
    assert host.own.unsent == 5


def test_the_zygote_of_a_worker_on_a_node_is_no_process_of_this_machine() -> None:
    made = running()
    held = {HOST: ProcessFootprint(Footprint(), OwnZygote(pid=77, restarts=1))}
    assert [(one.pid, one.node, one.node_pid) for one in report(tables(made, holdings=held), NOW).processes[2:]] == [
        (77, None, None)
    ]
    made.node = NodeName("n1")
    assert [(one.pid, one.node, one.node_pid) for one in report(tables(made, holdings=held), NOW).processes[2:]] == [
        (None, "n1", 77)
    ]


def test_one_without_a_process_has_none() -> None:
    told = report(tables(conversation(1, state="parked", incarnation=Incarnation(1))), NOW)
    (entry,) = told.conversations
    assert (entry.state, entry.pid, entry.turn, entry.approvals) == ("parked", None, None, 0)
    assert [one.role for one in told.processes] == ["supervisor"]


def test_each_conversation_has_its_last_death() -> None:
    deaths = (death(1, "c-1"), death(2, "c-2"), death(3, "c-1"), death(4))
    told = report(tables(conversation(1), conversation(2), conversation(3), deaths=deaths), NOW)
    last = {entry.id: entry.last_death and entry.last_death.pid for entry in told.conversations}
    assert last == {"c-1": 3, "c-2": 2, "c-3": None}
    assert [one.pid for one in told.deaths] == [4, 3, 2, 1]


def test_what_is_alive_or_in_trouble_comes_first_and_the_rest_is_counted() -> None:
    count = 3 * MAX_CONVERSATIONS
    parked = [conversation(number, state="parked") for number in range(count)]
    told = report(tables(*parked, conversation(-1, state="failed"), running()), NOW)
    assert len(told.conversations) == MAX_CONVERSATIONS
    assert told.left_out == count + 2 - MAX_CONVERSATIONS
    assert [entry.state for entry in told.conversations[:3]] == ["failed", "running", "parked"]
    assert told.conversations[2].id == f"c-{count - 1}"


def test_rate_limits_are_told_of_as_the_broker_has_them() -> None:
    pace = PaceStanding(key="3f2a", interval=2.5, waiting=4, hold=12.0, quiet_for=7.0, refusals=3)
    told = report(tables(paces=[PaceEntry.model_validate(pace)]), NOW)
    assert Report.model_validate_json(told.model_dump_json()).paces == told.paces
    assert msgspec.to_builtins(pace) == told.paces[0].model_dump()


def test_deaths_have_a_bound() -> None:
    told = report(tables(deaths=tuple(death(number) for number in range(100))), NOW)
    assert len(told.deaths) == MAX_DEATHS
    assert told.deaths[0].pid == 99


def test_what_others_know_is_taken_in() -> None:
    fork_server = ProcessEntry(role="fork_server", pid=7, state="ready", restarts=1)
    told = report(tables(running(), others=(fork_server,)), NOW)
    assert [one.role for one in told.processes] == ["supervisor", "fork_server", "worker"]
    assert told.statistics.open_calls == 1
    assert told.limits is not None
    assert told.limits.live_workers == Limits().live_workers


def test_a_conversation_has_its_title_and_its_idle_time() -> None:
    made = conversation(1, state="idle", worker_id=HOST, title="Mend the build", tokens=7, rested_at=NOW - 60)
    made.placement = Placement("/srv", "gpt-5", "/home/s.jsonl")
    (entry,) = report(tables(made), NOW).conversations
    assert (entry.title, entry.cwd, entry.model, entry.session_path) == (
        "Mend the build",
        "/srv",
        "gpt-5",
        "/home/s.jsonl",
    )
    assert (entry.idle_for, entry.tokens) == (60.0, 7)


def test_each_process_says_what_it_holds() -> None:
    shown = Footprint(uss=1, pss=2, descriptors=3, unsent=0)
    held = ProcessFootprint(shown)
    spare = ProcessEntry(role="worker", pid=8, worker_id=WorkerId("w-2"))
    told = report(tables(running(), others=(spare,), holdings={HOST: held, SUPERVISOR_ID: held}), NOW)
    assert [one.own for one in told.processes] == [shown, None, shown]


@pytest.mark.parametrize("state", ["parking", "starting"])
def test_a_worker_on_its_way_out_is_leaving(state: str) -> None:
    told = report(tables(conversation(1, state=state, worker_id=HOST)), NOW)
    assert told.processes[-1].state == ("leaving" if state == "parking" else "hosting")

"""A report survives its journey, also between versions, and names things as the supervisor does."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from greenroom.config.defaults import Limits
from greenroom.protocol.footprint import Footprint
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId, WorkerId
from greenroom.protocol.instance import Instance
from greenroom.protocol.internal.broker.body import AuthMode, AuthState
from greenroom.protocol.report import (
    MAX_TEXT,
    ClientEntry,
    ConversationEntry,
    ConversationFigures,
    ConversationState,
    CredentialEntry,
    DeathEntry,
    EngineFigures,
    LimitFigures,
    PoolFigures,
    PortFigures,
    ProcessEntry,
    Report,
    Role,
    Statistics,
    StdioFigures,
    TurnEntry,
)
from greenroom.runtime.zmq.zmq_stream import ZmqStreamStatistics
from greenroom.supervisor.conversations.registry import ConversationsStatistics
from greenroom.supervisor.conversations.state.lifecycle import LifecycleState
from greenroom.supervisor.frontend.stdio import StdioStatistics
from greenroom.supervisor.processes.engines.engine import EngineStatistics
from greenroom.supervisor.processes.exits import ExitRecord
from greenroom.supervisor.processes.pool import PoolStatistics

COUNTS = st.integers(min_value=0, max_value=2**53)
SECONDS = st.floats(min_value=0, max_value=1e10, allow_nan=False)
TEXTS = st.text()
INSTANCES = st.builds(
    Instance,
    pid=COUNTS,
    created=st.text(st.characters(codec="utf-8")),
    version=st.just("0.1.0"),
    codex_home=st.text(st.characters(codec="utf-8")),
    engine=st.sampled_from(("fork", "spawn")),
    started_at=SECONDS,
)
CONVERSATIONS = st.uuids().map(lambda value: ConversationId(str(value)))
TURNS = st.uuids().map(lambda value: TurnId(str(value)))
WORKERS = st.uuids().map(lambda value: WorkerId(f"w-{value}"))
INCARNATIONS = COUNTS.map(Incarnation)
DEATHS = st.builds(
    DeathEntry,
    at=SECONDS,
    process=WORKERS,
    pid=COUNTS,
    cause=TEXTS,
    signal=st.none() | st.integers(1, 64),
    exit_code=st.none() | st.integers(0, 255),
    max_rss=COUNTS,
    conversation_id=st.none() | CONVERSATIONS,
    incarnation=st.none() | INCARNATIONS,
    doing=st.none() | TEXTS,
    log_lines=st.lists(TEXTS, max_size=3).map(tuple),
)
CONVERSATION_ENTRIES = st.builds(
    ConversationEntry,
    id=CONVERSATIONS,
    state=st.sampled_from(get_args(ConversationState)),
    incarnation=INCARNATIONS,
    pid=st.none() | COUNTS,
    turn=st.none() | st.builds(TurnEntry, id=TURNS, age=SECONDS, doing=st.none() | TEXTS, interrupted=st.booleans()),
    queued=COUNTS,
    tokens=st.none() | COUNTS,
    idle_for=st.none() | SECONDS,
    last_death=st.none() | DEATHS,
    cwd=st.none() | TEXTS,
    title=st.none() | TEXTS,
)
OWN = st.builds(
    Footprint,
    uss=st.none() | COUNTS,
    descriptors=st.none() | COUNTS,
    sandbox_limits=st.lists(TEXTS, max_size=2).map(tuple),
)
PROCESS_ENTRIES = st.builds(
    ProcessEntry,
    role=st.sampled_from(get_args(Role)),
    pid=st.none() | COUNTS,
    heard_ago=st.none() | SECONDS,
    own=st.none() | OWN,
)
STATISTICS = st.builds(
    Statistics,
    stdio=st.none() | st.builds(StdioFigures, read=COUNTS, written=COUNTS, waiting=COUNTS),
    open_calls=st.none() | COUNTS,
)
CREDENTIALS = st.builds(
    CredentialEntry,
    mode=st.sampled_from(get_args(AuthMode)),
    state=st.sampled_from(get_args(AuthState)),
    time_left=st.none() | st.floats(-1e9, 1e9, allow_nan=False),
)
REPORTS = st.builds(
    Report,
    at=SECONDS,
    instance=INSTANCES,
    client=st.none() | st.builds(ClientEntry, name=TEXTS, version=TEXTS),
    statistics=STATISTICS,
    processes=st.lists(PROCESS_ENTRIES, max_size=3).map(tuple),
    conversations=st.lists(CONVERSATION_ENTRIES, max_size=3).map(tuple),
    left_out=COUNTS,
    deaths=st.lists(DEATHS, max_size=3).map(tuple),
    credential=st.none() | CREDENTIALS,
    limits=st.none() | st.builds(LimitFigures, park_after=st.none() | SECONDS, live_workers=st.none() | COUNTS),
)


@given(REPORTS)
def test_a_report_comes_back_as_it_was(report: Report) -> None:
    assert Report.model_validate_json(report.model_dump_json()) == report


@given(REPORTS)
def test_what_a_later_version_adds_is_passed_over(report: Report) -> None:
    told = report.model_dump(mode="json")
    told["mood"] = "good"
    told["instance"]["colour"] = "green"
    for entry in (*told["conversations"], *told["processes"]):
        entry["height"] = {"metres": 3}
        if entry.get("own"):
            entry["own"]["mass"] = 80
    assert Report.model_validate(told) == report


def test_another_schema_is_not_taken_for_this_one() -> None:
    told = Report(at=0.0, instance=Instance(1, "", "0", "/", "fork", 0.0)).model_dump(mode="json")
    with pytest.raises(ValidationError):
        Report.model_validate(told | {"version": 2})


def test_states_are_those_of_the_lifecycle() -> None:
    assert set(get_args(ConversationState)) == set(get_args(LifecycleState))


@pytest.mark.parametrize(
    ("kind", "statistics"),
    [
        (StdioFigures, StdioStatistics(1, 2, 3)),
        (PortFigures, ZmqStreamStatistics(1, 2, 3)),
        (PoolFigures, PoolStatistics(1, 2, 3)),
        (EngineFigures, EngineStatistics(1, 2, 3)),
        (ConversationFigures, ConversationsStatistics(1, 2, 3, 4, 5, 6, 7)),
        (LimitFigures, Limits()),
        (DeathEntry, ExitRecord(1.0, WorkerId("w-1"), 2, "signal 9 (SIGKILL)", 3)),
    ],
)
def test_statistics_are_taken_over_as_they_are(kind: type[BaseModel], statistics: object) -> None:
    taken = kind.model_validate(statistics)
    names = [name for name in kind.model_fields if hasattr(statistics, name)]
    assert names
    assert [getattr(taken, name) for name in names] == [getattr(statistics, name) for name in names]


def test_texts_are_cut_and_made_fit_to_travel() -> None:
    entry = ClientEntry(name="x" * (MAX_TEXT + 1), version="1.\udcff")
    assert len(entry.name) == MAX_TEXT
    assert entry.name.endswith("…")
    assert entry.version == "1.?"


def test_what_a_process_says_of_itself_keeps_its_keys_and_is_checked() -> None:
    entry = ProcessEntry(role="worker", own=Footprint(uss=1, sandbox_limits=("x" * (MAX_TEXT + 1), "\udcff")))
    assert entry.model_dump(mode="json")["own"] == {
        "uss": 1,
        "pss": None,
        "descriptors": None,
        "unsent": None,
        "sandbox_limits": ["x" * (MAX_TEXT - 1) + "…", "?"],
    }
    with pytest.raises(ValidationError):
        ProcessEntry.model_validate({"role": "worker", "own": {"uss": "much"}})

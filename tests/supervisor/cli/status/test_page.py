"""A page says at a glance how each instance is, at 80 columns and at any other width."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len as width

from greenroom.protocol.footprint import Footprint
from greenroom.supervisor.cli.status.control_client import ControlResponse
from greenroom.supervisor.cli.status.page import QUIET_ROWS, overview_page
from tests.protocol.test_report import REPORTS
from tests.supervisor.cli.status.sights import (
    BROKER,
    ENTRIES,
    FORK_SERVER,
    ID,
    NOW,
    TREE,
    WORKER,
    conversation,
    report,
    sight,
    view,
)
from tests.supervisor.cli.status.sights import process as seen

TITLE = "Mend the 漢字 build\x1b[31m"
BUSY = report(
    client={"name": "claude-code", "version": "2.1"},
    statistics={
        "conversations": {"known": 14, "with_process": 2, "turns_running": 1, "turns_waiting": 2},
        "stdio": {"read": 1, "written": 2, "waiting": 12_345},
        "worker_router": {"received": 1, "sent": 1, "refused": 0, "paused": True},
        "pool": {"waiting": 0, "expected": 1, "orders": 1},
        "open_calls": 3,
    },
    conversations=(
        conversation(queued=2, tokens=12_345, approvals=1, restarts=1, title=TITLE, model="gpt-5"),
        conversation(id=ID[:-4] + "7777", state="parked", turn=None, idle_for=108_000, tokens=1_230_000, cwd="/srv/x"),
    ),
    left_out=9,
    deaths=(
        {
            "at": NOW - 200,
            "process": "w-01a",
            "pid": 4242,
            "cause": "signal 9 (SIGKILL)",
            "max_rss": 82 << 20,
            "conversation_id": ID,
            "doing": "running a turn",
        },
        {"at": NOW - 9000, "process": "broker", "pid": 4241, "cause": "exit status 1", "max_rss": 0},
    ),
    credential={"mode": "chatgpt", "state": "FRESH", "time_left": 3120.0},
)
PAGE = """\
greenroom 0.1.0  pid 100  up 2h05m  fork  /home/ada/.codex
14 conversations, 2 with a process · 1 turn running, 2 waiting
credential chatgpt, fresh, 52m00s left · client claude-code 2.1 · 3 calls open ·
  12k unread by the client · workers wait for the client to read · 1
  conversation waiting for a worker
WHO             STATE     TURN  PID  CPU%  RSS  ASKS  WAIT  DOING
supervisor      ready           100   0.3  31M
fork-server     ready           101   0.3  31M
broker          ready           102   0.3  31M
(spare worker)  ready           104   0.3  31M
ad78bbf82560    running  1m12s  103   0.3  31M     1     2  waiting for the user
ad78bbf87777    parked
and 9 conversations more without a process

     WHEN  WHO            PID  CAUSE               RSS  DOING
3m20s ago  ad78bbf82560  4242  signal 9 (SIGKILL)  82M  running a turn
2h30m ago  broker        4241  exit status 1
"""
SILENT = """\
greenroom 0.1.0  pid 100  up 2h05m  fork  /home/ada/.codex
! does not answer; its last sign of life was 3s ago, at 14:02:08
! the supervisor (pid 100) is stopped by a signal or a debugger; kill -CONT 100
  lets it go on
WHO          STATE     PID  CPU%  RSS  THR  CHILD
supervisor   stopped   100   0.3  31M    1
fork-server  sleeping  101   0.3  31M    1
broker       sleeping  102   0.3  31M    1
worker       sleeping  103   0.3  31M    1      1
worker       sleeping  104   0.3  31M    1
"""


def lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def shown(*statuses: object, room: int | None = 80) -> list[str]:
    return [line.plain for line in overview_page(view(*statuses), room)]  # type: ignore[arg-type]


def test_a_busy_instance_at_80_columns() -> None:
    assert shown(sight(BUSY)) == lines(PAGE)


def test_a_silent_instance_at_80_columns() -> None:
    stopped = [one if one.pid != 100 else seen(100, 1, "greenroom", "stopped") for one in TREE]
    assert shown(sight(response=ControlResponse("silent"), tree=stopped)) == lines(SILENT)


def test_what_has_been_done_is_said_in_short() -> None:
    work: dict[str, Any] = {
        "calls": 1,
        "calls_refused": 0,
        "turns": {},
        "tokens": {},
        "rate_limited": 0,
        "deaths": 0,
    }
    assert "1 call · turns none ended" in shown(sight(report(work=work)))
    work |= {
        "calls": 48,
        "calls_refused": 2,
        "turns": {"completed": 44, "failed": 2, "aborted": 0},
        "first_token": {"p50": 0.854, "p99": 75.0},
        "tokens": {"input": 1_200_000, "cached_input": 9, "output": 42_345, "reasoning_output": 9},
        "rate_limited": 3,
        "deaths": 1,
    }
    (line,) = (line for line in shown(sight(report(work=work)), room=None) if line.startswith("48 calls"))
    assert line == (
        "48 calls · 2 refused · turns 44 completed, 2 failed · first token p50 0.85s, p99 1m15s · 1.2M tokens · "
        "3 times 429 · 1 death"
    )
    work["calls"] = 0
    assert not [line for line in shown(sight(report(work=work))) if "turns 44" in line], "nothing was asked for"


def test_where_there_is_room_all_is_shown() -> None:
    text = "\n".join(shown(sight(BUSY), room=None))
    for words in ("IDLE", "TOKENS", "INC", "MODEL", "TITLE", "DIRECTORY", "12k", "1d06h", "漢字", "gpt-5", "/srv/x"):
        assert words in text
    assert "\x1b" not in text


def test_instances_are_set_apart() -> None:
    text = shown(sight(), sight())
    assert text.count("") == 1
    assert sum(line.startswith("greenroom 0.1.0") for line in text) == 2


def test_a_stopped_worker_is_seen_in_its_row() -> None:
    tree = [one if one.pid != WORKER else seen(WORKER, FORK_SERVER, "gr-worker", "stopped") for one in TREE]
    (row,) = (line for line in shown(sight(tree=tree)) if line.startswith("ad78bbf82560"))
    assert row.split()[1] == "stopped"


def test_what_processes_say_of_themselves_stands_where_nothing_can_be_seen() -> None:
    own = Footprint(uss=4 << 20, descriptors=14)
    told = report(processes=[one.model_copy(update={"own": own}) if one.pid == BROKER else one for one in ENTRIES])
    head, *rows = shown(sight(told), room=None)[1:]
    (row,) = (line for line in rows if line.startswith("broker"))
    assert "4.0M" in row
    assert "14" in row.split()
    assert "USS" in head
    assert "FDS" in head


def test_what_the_sandbox_does_not_hold_is_said_once() -> None:
    own = Footprint(sandbox_limits=("signals to other programs are not refused",))
    told = report(processes=[one.model_copy(update={"own": own}) for one in ENTRIES])
    limits = [line for line in shown(sight(told), room=None) if line.startswith("sandbox:")]
    assert limits == ["sandbox: signals to other programs are not refused"]


def test_each_rate_limit_has_its_pace() -> None:
    pace = {"key": "3f2a91c0" * 4, "interval": 2.53, "waiting": 4, "hold": 12.3, "quiet_for": 7.0, "refusals": 3}
    quick = {"key": "0b1c2d3e" * 4, "interval": 0.045, "waiting": 0, "hold": 0.02, "quiet_for": 80.0, "refusals": 1}
    lines = [line.plain for line in overview_page(view(sight(report(paces=(pace, quick)))), 80)]
    assert "rate limit 3f2a91c0: a request every 2.5 s, none for 12s, 4 requests waiting," in lines
    assert "rate limit 0b1c2d3e: a request every 45 ms, refused 1 time, last 1m20s ago" in lines


def test_each_node_has_a_line_and_each_process_its_node() -> None:
    node = {"name": "n1", "state": "ready", "capacity": 50, "workers": 3, "version": "0.1.0", "round_trip": 0.0021}
    gone = {"name": "n2", "state": "lost", "capacity": 9, "workers": 0, "version": "0.0.9"}
    hosting = {"role": "worker", "state": "hosting", "worker_id": "w-9", "conversation_id": ID, "node": "n1"}
    here = [one for one in ENTRIES if one.pid != WORKER]
    told = report(
        nodes=({**node, "load": 0.25, "memory": 60 << 20}, gone),
        processes=(*here, {**hosting, "pid": None, "node_pid": 77}),
        conversations=(conversation(node="n1", pid=None),),
    )
    found = shown(sight(told), room=200)
    assert "node n1: ready, 3 workers of 50, 2.1 ms there and back, load 0.25 a core, 60M, 0.1.0" in found
    assert "node n2: lost, 0.0.9" in found
    assert [line for line in found if line.startswith(ID[-12:]) and "n1" in line.split()]


def test_telemetry_has_a_line_where_a_collector_has_not_got_all_of_it() -> None:
    well = {"signal": "spans", "sent": 7, "failed": 0, "dropped": 0, "failure": ""}
    assert not [line for line in shown(sight(report(telemetry=(well,)))) if "telemetry" in line]
    ill = {"signal": "events", "sent": 5, "failed": 40, "dropped": 3, "failure": "HTTP 401"}
    lines = [line for line in shown(sight(report(telemetry=(well, ill))), room=None) if "telemetry" in line]
    assert lines == ["telemetry: of 48 events 40 not taken by the collector (HTTP 401), 3 dropped, as too many waited"]


def test_the_last_words_of_the_dead_are_shown() -> None:
    dead = {"at": NOW - 9, "process": "w-01a", "pid": 7, "cause": "exit status 1", "max_rss": 0, "conversation_id": ID}
    told = report(deaths=({**dead, "log_lines": ("INFO one", "ERROR out of\x1b[31m luck")}, dead))
    lines = [line.plain for line in overview_page(view(sight(told)), 80)]
    assert lines[-1] == f"last words of {ID[-12:]}: ERROR out of[31m luck"


def test_only_so_many_quiet_conversations_are_shown() -> None:
    parked = [conversation(id=f"{ID[:-4]}{number:04}", state="parked", turn=None, pid=None) for number in range(50)]
    text = shown(sight(report(conversations=parked, left_out=100)))
    assert sum("parked" in line for line in text) == QUIET_ROWS
    assert f"and {150 - QUIET_ROWS} conversations more without a process" in text


@pytest.mark.parametrize("room", [20, 40, 79, 80, 81, 100, 132, 250])
def test_no_line_is_wider_than_the_terminal(room: int) -> None:
    assert all(width(line) <= room for line in shown(sight(BUSY), room=room))


@settings(deadline=None)
@given(REPORTS, st.integers(1, 200))
def test_any_report_can_be_shown(told: object, room: int) -> None:
    assert all(width(line) <= room and "\x1b" not in line for line in shown(sight(told), room=room))  # type: ignore[arg-type]

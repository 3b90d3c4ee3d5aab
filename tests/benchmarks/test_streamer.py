"""What streaming costs is what a program uses above idling, shown for each of its processes and threads."""

import os
import threading
import time

import pytest

from benchmarks.processes import cpu_by_role, cpu_seconds
from benchmarks.streamer import Streamed, Use
from benchmarks.streaming import Cost, Load, text
from benchmarks.subject import GREENROOM, REFERENCE, Subject


def test_what_idling_costs_is_taken_off_for_the_time_that_passed() -> None:
    idle = Use(0.2, {"a": 0.2}, 2.0)
    busy = Use(3.0, {"a": 1.5, "b": 1.5}, 10.0)
    assert busy.above(idle) == pytest.approx(2.0)
    assert busy.roles_above(idle) == pytest.approx({"a": 0.5, "b": 1.5})


def test_only_greenroom_gets_its_settings() -> None:
    load = Load(150, 50, 1.0, events=False)
    assert load.program(Subject(REFERENCE, ("a",))).command == ("a",)
    assert load.program(Subject(GREENROOM, ("a",))).command == (
        "a",
        "-c",
        "greenroom.live_workers=300",
        "-c",
        'greenroom.events="off"',
    )


def test_a_run_is_told_with_its_roles_and_delays() -> None:
    streamed = Streamed(1, 100, 1.0, 2, 300e-6, 0.1, {"root": 0.02, "worker": 0.01, "none": 0.0}, [0.001] * 99 + [0.5])
    told = text(Subject(GREENROOM, ()), Load(1, 100, 1.0), Cost(streamed, 400e-6)).splitlines()
    assert "100 deltas, 2 of them sent late" in told[0]
    assert [line.split()[0] for line in told[1:5]] == ["400.0", "300.0", "200.0", "100.0"]
    assert told[-1] == "    1.00 ms from the model to the client, p50; 1.00 ms p99"


def test_the_roles_of_a_process_add_up_to_what_it_uses() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    before = cpu_seconds(os.getpid())
    roles = cpu_by_role(os.getpid())
    after = cpu_seconds(os.getpid())
    done.set()
    thread.join()
    assert before - 0.02 <= sum(roles.values()) <= after + 0.02
    assert "root" in roles
    begun = time.process_time()
    while time.process_time() < begun + 0.05:
        pass
    assert cpu_by_role(os.getpid())["root"] - roles["root"] >= 0.04

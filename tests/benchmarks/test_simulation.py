"""The simulation counts every call, agrees with what queues are known to do, and is the same for the same seed."""

import math
from dataclasses import replace
from functools import cache
from random import Random
from xml.etree import ElementTree as ET

import pytest
import simpy

from benchmarks.simulation.costs import TABLE, Costs
from benchmarks.simulation.report import Outcome, failure_table, picture, quantile, sweep_table
from benchmarks.simulation.scenario import RATES, Scenario
from benchmarks.simulation.stations import Process, Station
from benchmarks.simulation.world import World

SVG = "{http://www.w3.org/2000/svg}"
COSTS = Costs(
    new=0.005,
    resume=0.004,
    reply=0.0006,
    new_bearers=0.002,
    bearer=0.0001,
    stream=0.001,
    wide_stream=0.0002,
    node=0.0003,
    join=0.001,
    commit=0.0002,
    search=1e-6,
    live_memory=1e5,
    parked_memory=1e4,
    broker_descriptors=2,
    live_descriptors=4,
)
SMALL = Scenario(running=200, parked=10_000, nodes=10, capacity=60, warm_up=120.0, length=300.0)
LONG = replace(SMALL, length=900.0)


def simulated(scenario: Scenario) -> World:
    world = World(scenario, COSTS)
    world.run()
    return world


@cache
def known(scenario: Scenario) -> World:
    """Return the world of a scenario, the same for all tests, which only look at it."""
    return simulated(scenario)


@cache
def passed(arrivals: float, service: float, servers: int, background: float = 0.0) -> tuple[Station, float]:
    """Return a station that Poisson arrivals have passed through, and for how long they have."""
    environment, random = simpy.Environment(), Random(7)
    station = Station(environment, random, servers, lambda: background)

    def arrive() -> Process:
        while True:
            yield environment.timeout(random.expovariate(arrivals))
            environment.process(station.serve(1 / service))

    environment.process(arrive())
    environment.run(200)
    station.forget()
    length = 25_000 / arrivals
    environment.run(200 + length)
    return station, length


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a job has to wait at M/M/c, where `load` servers would be busy on average."""
    terms = [load**number / math.factorial(number) for number in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("load", "servers"), [(0.5, 1), (0.8, 1), (2.4, 4), (3.2, 4)])
def test_a_station_is_a_queue_with_some_servers(load: float, servers: int) -> None:
    station, length = passed(round(load * 10), 10, servers)
    waiting = erlang_c(servers, load) * load / (servers - load)
    assert station.mean_present(length) == pytest.approx(load + waiting, rel=0.12)
    assert station.work / length == pytest.approx(load, rel=0.03)


def test_what_takes_a_share_of_a_station_makes_it_slower_by_that() -> None:
    station, length = passed(4, 10, 1, background=0.5)
    assert station.mean_present(length) == pytest.approx(0.8 / 0.2, rel=0.15)


def test_a_station_keeps_littles_law() -> None:
    station, length = passed(8, 10, 1)
    mean_sojourn = station.sojourn / station.left
    assert station.mean_present(length) == pytest.approx(station.left / length * mean_sojourn, rel=0.02)


@pytest.mark.parametrize(
    "scenario",
    [
        SMALL,
        replace(SMALL, failing=20.0),
        replace(SMALL, failing=20.0, notice=120.0),
        replace(SMALL, host_restart_at=200.0),
        replace(SMALL, nodes=2),
        replace(SMALL, running=2_000, stream_share=10.0),
    ],
    ids=["calm", "failing", "noticed", "restarted", "crowded", "overloaded"],
)
def test_every_call_is_answered_or_lost_or_open(scenario: Scenario) -> None:
    world = known(scenario)
    tally = world.tally
    assert tally.answered > 0
    assert tally.submitted == tally.answered + tally.lost + len(world.open)
    assert all(call.is_open for call in world.open)
    assert sum(len(node.running) for node in world.nodes) <= len(world.open)
    assert sum(node.idle for node in world.nodes) == len(world.idle)
    assert all(0 <= node.workers <= scenario.capacity for node in world.nodes)


def test_as_many_turns_run_as_littles_law_says() -> None:
    world = known(LONG)
    rate = world.tally.answered / world.scenario.length
    assert rate * world.scenario.turn == pytest.approx(world.scenario.running, rel=0.05)
    assert world.streams == pytest.approx(world.scenario.running, rel=0.25)
    assert world.tally.lost == 0


def test_the_supervisor_is_as_busy_as_its_costs_say() -> None:
    scenario = LONG
    world = known(scenario)
    streaming = scenario.running * scenario.streaming * COSTS.stream
    least = streaming + scenario.nodes * COSTS.node + world.tally.answered / scenario.length * COSTS.reply
    most = streaming + scenario.nodes * COSTS.node + world.tally.answered / scenario.length * COSTS.new * 1.05
    assert least < world.utilisation < most


def test_it_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    scenario = replace(SMALL, failing=30.0)
    first, again, other = (simulated(replace(scenario, seed=seed)).tally for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_more_than_the_supervisor_can_do_is_seen_in_delays() -> None:
    calm, crowded = known(SMALL), known(replace(SMALL, stream_share=30.0))
    assert calm.utilisation < 0.5
    assert crowded.utilisation > 0.9
    assert max(crowded.tally.delays) > 20 * max(calm.tally.delays)


def test_a_notice_saves_turns() -> None:
    """Half a minute to end is enough for four of ten turns that last a minute on average."""
    scenario = replace(SMALL, failing=10.0, length=900.0)
    sudden, noticed = known(scenario).tally, known(replace(scenario, notice=120.0)).tally
    without, with_notice = sudden.lost / sudden.failures, noticed.lost / noticed.failures
    assert with_notice == pytest.approx(without * math.exp(-scenario.drain / scenario.turn), rel=0.2)


def test_after_a_restart_of_the_host_as_many_turns_run_as_before() -> None:
    world = known(replace(SMALL, host_restart_at=200.0))
    assert world.tally.lost >= SMALL.running * 0.7
    (took,) = world.tally.recoveries
    assert 0 < took < 60


def test_the_measured_costs_have_sources() -> None:
    costs = Costs.read()
    assert 0 < costs.reply < costs.new < 0.1
    assert 0 < costs.search < 1e-4
    entries = [line for line in TABLE.read_text("utf-8").splitlines() if " = {" in line]
    assert entries
    assert all('source = "' in entry or "source = '" in entry for entry in entries)


def test_the_tables_and_the_picture_show_what_ran() -> None:
    outcomes = [Outcome.of(known(replace(SMALL, running=running))) for running in (50, 100)]
    assert [one.is_carried for one in outcomes] == [True, True]
    assert not Outcome.of(known(replace(SMALL, stream_share=30.0))).is_carried
    rows = sweep_table(outcomes).splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["50", "100"]
    losses = failure_table(RATES, 100, {0.0: 100.0, 120.0: 50.0}).splitlines()[2:]
    assert [row.split("|")[3].strip() for row in losses] == ["100", "50", "50"]
    lines = ET.fromstring(picture({"one": outcomes, "other": outcomes})).iter(f"{SVG}polyline")
    assert len(list(lines)) == 5


def test_a_quantile_is_a_value_that_a_share_of_all_stay_below() -> None:
    assert quantile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert quantile([1.0], 0.99) == 1.0
    assert math.isinf(quantile([], 0.5))

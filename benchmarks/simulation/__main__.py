"""Simulates a host with a hundred nodes: `python -m benchmarks.simulation [--output FILE.svg]`. Prints tables.

Runs are independent of each other, each with its own seed, and share the processors.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.simulation.calls import Tally
from benchmarks.simulation.costs import Costs
from benchmarks.simulation.report import Outcome, failure_table, picture, restart_table, sweep_table
from benchmarks.simulation.scenario import RATES, Scenario
from benchmarks.simulation.world import World

LOADS: Final = (1_000, 2_000, 3_000, 6_000, 10_000)
"""Turns at a time that are tried."""
BEYOND: Final = 1.2
"""How far beyond the load that would fill the supervisor's loop others are tried, which only wait longer and longer."""
RESTARTS: Final = (1_000, 10_000)
FAILING: Final = 20.0
"""Seconds between two losses of nodes, far more often than anywhere, to find what one of them costs."""
RESTART_AT: Final = 250.0


def kinds(costs: Costs) -> dict[str, Scenario]:
    """Return the loads that are tried, by what clients want of the text."""
    return {
        "default": Scenario(),
        "windows of 0.5 s": Scenario(stream_share=costs.wide_stream / costs.stream),
        "no pieces": Scenario(stream_share=0.0),
    }


def loads(scenario: Scenario, costs: Costs) -> list[int]:
    """Return the loads that are tried of a kind."""
    turn = (costs.new + costs.resume) / 2 * (1 - scenario.replies) + costs.reply * scenario.replies
    each = scenario.streaming * costs.stream * scenario.stream_share + turn / scenario.turn
    return [load for load in LOADS if load * each <= BEYOND]


def run(scenario: Scenario, costs: Costs) -> tuple[Outcome, Tally]:
    """Simulate, and say so."""
    world = World(scenario, costs)
    tally = world.run()
    print(f"{scenario.running} turns at a time: {tally.submitted} calls", file=sys.stderr, flush=True)
    return Outcome.of(world), tally


def main() -> None:
    """Run all, print the tables and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--output", metavar="FILE", help="where to write the picture, as SVG")
    options = parser.parse_args()
    costs = Costs.read()
    calm = kinds(costs)["no pieces"]
    notices = sorted({rate.notice for rate in RATES})
    with ProcessPoolExecutor() as pool:
        sweeps = {
            name: [pool.submit(run, replace(scenario, running=load), costs) for load in loads(scenario, costs)]
            for name, scenario in kinds(costs).items()
        }
        failing = {notice: pool.submit(run, replace(calm, failing=FAILING, notice=notice), costs) for notice in notices}
        restarts = {
            load: pool.submit(run, replace(calm, running=load, host_restart_at=RESTART_AT), costs) for load in RESTARTS
        }
    outcomes = {name: [one.result()[0] for one in futures] for name, futures in sweeps.items()}
    for name, found in outcomes.items():
        print(f"\n{name}:\n\n{sweep_table(found)}")
    if options.output:
        Path(options.output).write_text(picture(outcomes), "utf-8")
    tallies = {notice: future.result()[1] for notice, future in failing.items()}
    print(f"\nLosses of nodes, {calm.running:,} turns at a time on {calm.nodes} nodes:\n")
    print(failure_table(RATES, calm.nodes, {notice: one.lost / one.failures for notice, one in tallies.items()}))
    print("\nThe host is killed, and another begins two seconds later:\n")
    print(restart_table({load: future.result()[1] for load, future in restarts.items()}))


if __name__ == "__main__":
    main()

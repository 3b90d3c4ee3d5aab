"""Simulates a host with a hundred nodes: `python -m benchmarks.simulation [--output FILE.svg]`. Prints tables."""

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from benchmarks.simulation.costs import Costs
from benchmarks.simulation.report import Outcome, failure_table, picture, sweep_table
from benchmarks.simulation.scenario import RATES, Scenario
from benchmarks.simulation.world import World

LOADS: Final = (500, 1_000, 1_500, 2_000, 2_500, 3_000, 4_000, 6_000, 8_000, 10_000)
"""Turns at a time that are tried."""
FAILING: Final = 30.0
"""Seconds between two losses of nodes, far more often than anywhere, to find what one of them costs."""
RESTART_AT: Final = 420.0


def kinds(costs: Costs) -> Mapping[str, Scenario]:
    """Return the loads that are tried, by what clients want of the text."""
    return {
        "default": Scenario(),
        "windows of 0.5 s": Scenario(stream_share=costs.wide_stream / costs.stream),
        "no pieces": Scenario(stream_share=0.0),
    }


def run(scenario: Scenario, costs: Costs, say: Callable[[str], None]) -> World:
    """Simulate, and say so."""
    world = World(scenario, costs)
    world.run()
    say(f"{scenario.running} turns at a time: {world.tally.submitted} calls")
    return world


def sweep(scenario: Scenario, costs: Costs, say: Callable[[str], None]) -> list[Outcome]:
    """Try one load after the other, up to the first that is not carried."""
    outcomes: list[Outcome] = []
    for load in LOADS:
        outcomes.append(Outcome.of(run(replace(scenario, running=load), costs, say)))
        if not outcomes[-1].is_carried:
            break
    return outcomes


def main() -> None:
    """Run all, print the tables and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation", description=__doc__)
    parser.add_argument("--output", metavar="FILE", help="where to write the picture, as SVG")
    options = parser.parse_args()
    costs = Costs.read()

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    sweeps = {name: sweep(scenario, costs, say) for name, scenario in kinds(costs).items()}
    for name, outcomes in sweeps.items():
        print(f"\n{name}:\n\n{sweep_table(outcomes)}")
    if options.output:
        Path(options.output).write_text(picture(sweeps), "utf-8")
    carried = [one.running for one in sweeps["no pieces"] if one.is_carried]
    load = max(carried, default=LOADS[0])
    base = replace(kinds(costs)["no pieces"], running=load)
    lost = {}
    for notice in sorted({rate.notice for rate in RATES}):
        tally = run(replace(base, failing=FAILING, notice=notice), costs, say).tally
        lost[notice] = tally.lost / tally.failures
    print(f"\nLosses of nodes, {load:,} turns at a time on {base.nodes} nodes:\n")
    print(failure_table(RATES, base.nodes, lost))
    print("\nThe host is killed, and another begins two seconds later:\n")
    print("| Turns at a time | Turns lost | Until 95 % run again |\n|---|---|---|")
    for load in [one.running for one in sweeps["no pieces"] if one.is_carried]:
        restarted = replace(base, running=load, host_restart_at=RESTART_AT)
        tally = run(restarted, costs, say).tally
        took = f"{tally.recoveries[0]:.0f} s" if tally.recoveries else "not within the run"
        print(f"| {load:,} | {tally.lost:,} | {took} |")


if __name__ == "__main__":
    main()

"""What measuring costs a turn where nothing takes the metrics and no trace is sent.

It plays what a turn with commands does for its measurements, in the worker and in the supervisor, and the same with
the measurements left out: `python -m benchmarks.measuring` prints the difference in microseconds of CPU. With
`--turns N` and `--mode on` or `off` it only plays, for a tool that counts instructions, such as callgrind.
"""

import argparse
import statistics
import time
from typing import Final

from greenroom.demo.scripts import COMMANDS
from greenroom.protocol.ids import ConversationId, Incarnation, TurnId
from greenroom.protocol.internal.worker.notices import TurnEnded
from greenroom.protocol.message import pack, unpack
from greenroom.protocol.telemetry.timings import Timing, TokenUse
from greenroom.supervisor.conversations.state.turn import ConversationTurn, Nobody
from greenroom.supervisor.conversations.state.turn_counters import TurnCounters
from greenroom.workers.timings import TurnTimings

REPEATS: Final = 15
TURNS: Final = 200
ITEMS: Final = b'[{"type":"text","text":"hello"}]'


class Play:
    """Plays turns."""

    def __init__(self, measures: bool) -> None:
        """Without `measures`, what would be measured is not."""
        self._measures = measures
        self._timings, self._probes = TurnTimings(), [TurnCounters()] if measures else []

    def turn(self) -> None:
        """Play one turn, with a model request before, between and after its commands."""
        turn = ConversationTurn(TurnId("t" * 36), ConversationId("c" * 36), ITEMS, Nobody())
        turn.accept(self._probes)
        turn.start(Incarnation(1))
        for number in range(COMMANDS + 1):
            self._request()
            if number < COMMANDS:
                self._command(f"call_{number}")
        told, untold = self._timings.end_turn()
        ended = self._ended(told, untold)
        if self._measures:
            turn.time(ended.timings, ended.untimed)
        turn.succeed(b'"ok"')

    def _request(self) -> None:
        if not self._measures:
            return
        with self._timings.request("127.0.0.1:80") as timer:
            timer.sent()
            timer.heard()
            timer.usage = TokenUse(input=10, cached_input=0, output=5, reasoning_output=0)

    def _command(self, call_id: str) -> None:
        if not self._measures:
            return
        with self._timings.tool({"name": "shell", "call_id": call_id, "arguments": "{}"}) as timer:
            timer.output_size = 10

    def _ended(self, told: tuple[Timing, ...], untold: int) -> TurnEnded:
        """Return the end of the turn as the supervisor gets it from the worker."""
        ended = TurnEnded(
            conversation_id=ConversationId("c" * 36),
            incarnation=Incarnation(1),
            turn_id=TurnId("t" * 36),
            outcome="completed",
            timings=told,
            untimed=untold,
        )
        return unpack(TurnEnded, pack(ended))


def cpu(measures: bool) -> float:
    """Return the CPU microseconds of a turn."""
    play = Play(measures)
    play.turn()
    begun = time.process_time()
    for _ in range(TURNS):
        play.turn()
    return (time.process_time() - begun) / TURNS * 1e6


def main() -> None:
    """Print it, or play."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--mode", choices=("on", "off"), default="on")
    arguments = parser.parse_args()
    if arguments.turns is not None:
        play = Play(arguments.mode == "on")
        for _ in range(arguments.turns):
            play.turn()
        return
    pairs = [(cpu(True), cpu(False)) for _ in range(REPEATS)]
    more = statistics.median(on - off for on, off in pairs)
    print(f"{more:.0f} µs more for a turn with {COMMANDS} commands, of {REPEATS} pairs the median")


if __name__ == "__main__":
    main()

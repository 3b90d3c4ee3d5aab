"""The measurements: one function for each kind of run, which starts a program and returns samples."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from benchmarks.client import Client, ContestantError
from benchmarks.contestant import Contestant, environment
from benchmarks.holdings import at_rest
from benchmarks.model_process import ModelProcess
from benchmarks.processes import cpu_seconds, private_bytes, worker_of_command, workers
from greenroom.demo.scripts import COMMANDS, LOGIN_COMMANDS, TRICKLE, bench_prompt

CROWD: Final = 100
_CROWD_TIMEOUT: Final = 600.0
_SETTLING: Final = 2.0
"""Seconds after which a server counts as idle."""
_SETTLED: Final = 50
"""Conversations after which a supervisor has allocated everything that does not depend on their number."""
_SPARE: Final = 2
"""Default number of idle workers."""
_HELLO: Final = bench_prompt("hello")
_COMMAND: Final = bench_prompt("command")
_COMMANDS: Final = bench_prompt("commands")
_LOGIN_COMMANDS: Final = bench_prompt("login commands")
_PROFILE_SECONDS: Final = 0.3
_PARENT: Final = bench_prompt("parent")
_PARENT_THEN_STALL: Final = bench_prompt("parent, then stall")
_PARENT_PID: Final = re.compile(rb"parent=(\d+)")

Measured: TypeAlias = Mapping[str, list[float]]


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size of one run."""

    turns: int
    deltas: int
    """A size that the scripted model offers."""
    idle_seconds: float
    kills: int
    workers: int
    parked: int


FULL: Final = Sizes(turns=20, deltas=20_000, idle_seconds=10.0, kills=100, workers=5, parked=500)
QUICK: Final = Sizes(turns=5, deltas=5_000, idle_seconds=3.0, kills=10, workers=2, parked=100)


@dataclass(frozen=True, slots=True)
class Stage:
    """The surroundings of one run."""

    contestant: Contestant
    model: ModelProcess
    home: str
    workspace: str
    sizes: Sizes

    def client(self, *flags: str) -> Client:
        """Start the program, with further settings."""
        more = [word for flag in flags for word in ("-c", flag)]
        contestant = replace(self.contestant, command=(*self.contestant.command, *more))
        return Client(contestant, self.home, self.workspace)


def start(stage: Stage) -> Measured:
    """Time from starting the program to its answer to `initialize`."""
    with stage.client() as client:
        return {"start": [(client.initialize().at - client.started) * 1e3]}


def first_turn(stage: Stage) -> Measured:
    """Time from starting the program to the answer to a first call, sent once `initialize` is answered."""
    with stage.client() as client:
        client.initialize()
        answer, _ = client.succeed(client.begin(_HELLO))
        return {"first-turn": [(answer.at - client.started) * 1e3]}


def turns(stage: Stage) -> Measured:
    """New conversations and replies, one after the other, in a server that has had one conversation."""
    reached: list[float] = []
    replied: list[float] = []
    with stage.client() as client:
        thread = _warmed_up(client)
        for _ in range(stage.sizes.turns):
            before = stage.model.total()
            begun = time.monotonic()
            client.succeed(client.begin(_HELLO))
            reached.append((stage.model.arrivals(before)[0].arrived - begun) * 1e3)
        for _ in range(stage.sizes.turns):
            begun = time.monotonic()
            answer, _ = client.succeed(client.reply(thread, _HELLO))
            replied.append((answer.at - begun) * 1e3)
    return {"new-conversation": reached, "reply": replied}


def returns(stage: Stage) -> Measured:
    """Replies in parked conversations, one after the other; an idle worker is ready for each, as for a new one."""
    reached: list[float] = []
    with stage.client("greenroom.park_after_s=0.1") as client:
        thread = _warmed_up(client)
        for _ in range(stage.sizes.turns):
            at_rest(client.pid, environment(stage.contestant, stage.home), (), _SPARE)
            before = stage.model.total()
            begun = time.monotonic()
            client.succeed(client.reply(thread, _HELLO))
            reached.append((stage.model.arrivals(before)[0].arrived - begun) * 1e3)
    return {"return": reached}


def stream(stage: Stage) -> Measured:
    """One turn with many deltas: how fast they reach the client and what they cost the program."""
    count = stage.sizes.deltas
    with stage.client() as client:
        thread = _warmed_up(client)
        before, used = stage.model.total(), cpu_seconds(client.pid)
        _relay(client, thread, f"stream {count}", count)
        used = cpu_seconds(client.pid) - used
        took = client.last_delta - stage.model.arrivals(before)[0].arrived
    return {"deltas": [count / took], "delta-cpu": [used / count * 1e6]}


def trickle(stage: Stage) -> Measured:
    """One turn whose deltas arrive at the pace of a fast model, so that batching has no effect."""
    with stage.client() as client:
        thread = _warmed_up(client)
        used = cpu_seconds(client.pid)
        _relay(client, thread, "trickle", TRICKLE)
        return {"single-delta-cpu": [(cpu_seconds(client.pid) - used) / TRICKLE * 1e6]}


def crowd(stage: Stage) -> Measured:
    """Many calls at once, and the cost of the idle conversations afterwards."""
    with stage.client() as client:
        _warmed_up(client)
        time.sleep(_SETTLING)
        begun = time.monotonic()
        calls = [client.begin(_COMMAND) for _ in range(CROWD)]
        last = max(client.succeed(call, _CROWD_TIMEOUT)[0].at for call in calls)
        time.sleep(_SETTLING)
        before, since = cpu_seconds(client.pid), time.monotonic()
        time.sleep(stage.sizes.idle_seconds)
        used = cpu_seconds(client.pid) - before
        idle = used / (time.monotonic() - since) * 100
    return {"crowd": [last - begun], "idle-cpu": [idle]}


def commands(stage: Stage) -> Measured:
    """The time of a step with a command, including the model, beyond starting the program alone."""
    with stage.client() as client:
        client.initialize()
        confined = _time_of_step(client, "read-only")
        free = _time_of_step(client, "danger-full-access")
    bare = _time_of_bare_spawn()
    return {"sandbox": [confined - bare], "no-sandbox": [free - bare]}


def memory(stage: Stage) -> Measured:
    """The private memory of workers: idle ones, and those that have had a turn."""
    with stage.client() as client:
        client.initialize()
        time.sleep(_SETTLING)
        used = [_turn_with_command(client) for _ in range(stage.sizes.workers)]
        waiting = [worker.pid for worker in workers(client.pid) if worker.pid not in used]
        return {"memory-idle": _megabytes(used), "memory-waiting": _megabytes(waiting)}


def login_shells(stage: Stage) -> Measured:
    """The time of a step with a login shell, in a home whose profile is slow."""
    home = os.path.join(stage.home, "slow-profile")
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, ".bash_profile"), "w", encoding="utf-8") as profile:
        profile.write(f"sleep {_PROFILE_SECONDS}\n")
    contestant = replace(stage.contestant, environment={**stage.contestant.environment, "HOME": home})
    with replace(stage, contestant=contestant).client() as client:
        thread = _warmed_up(client)
        client.succeed(client.reply(thread, _LOGIN_COMMANDS))
        begun = time.monotonic()
        client.succeed(client.reply(thread, _LOGIN_COMMANDS))
        return {"login-shell": [(time.monotonic() - begun) / LOGIN_COMMANDS * 1e3]}


def bearers(_: Stage) -> Measured:
    """The time that a worker waits for an access token: only the broker, with as many workers as the 100 calls have."""
    from benchmarks.bearers import measure

    waits = [seconds * 1e3 for seconds in measure(CROWD).seconds]
    return {"bearer": waits, "bearer-p99": waits}


def parked(stage: Stage) -> Measured:
    """The growth of the supervisor for each conversation that has had a turn and has no process any more."""
    with stage.client("greenroom.live_workers=8", "greenroom.park_after_s=0.1") as client:
        client.initialize()
        before = _supervisor_with_parked(client, _SETTLED)
        after = _supervisor_with_parked(client, stage.sizes.parked)
    grown = [] if before is None or after is None else [(after - before) / stage.sizes.parked / 1e3]
    return {"memory-parked": grown}


def kill(stage: Stage) -> Measured:
    """Time from killing a worker in the middle of a stream to the answer to its call."""
    took: list[float] = []
    with stage.client() as client:
        client.initialize()
        for _ in range(stage.sizes.kills):
            before = stage.model.total()
            call = client.begin(_PARENT_THEN_STALL)
            worker = worker_of_command(int(client.seek(_PARENT_PID)), client.pid)
            stage.model.arrivals(after=before + 1, wait=10.0)
            killed = time.monotonic()
            os.kill(worker.pid, signal.SIGKILL)
            answer = client.wait(call)
            if b'"isError":true' not in answer.line:
                raise ContestantError(f"a killed worker's call was answered with {answer.line[:500]!r}")
            took.append((answer.at - killed) * 1e3)
    return {"kill": took}


@dataclass(frozen=True, slots=True)
class Experiment:
    """One kind of run and its number of repetitions."""

    measure: Callable[[Stage], Measured]
    figures: tuple[str, ...]
    rounds: int
    quick_rounds: int
    reference_rounds: int | None = None
    """Repetitions for the reference, if different; 0 if it does not apply to it."""

    def repetitions(self, *, of_reference: bool, quick: bool) -> int:
        """Return the number of repetitions for a program."""
        rounds = self.quick_rounds if quick else self.rounds
        if not of_reference or self.reference_rounds is None:
            return rounds
        return 0 if quick else min(rounds, self.reference_rounds)


EXPERIMENTS: Final = (
    Experiment(start, ("start",), rounds=15, quick_rounds=3),
    Experiment(first_turn, ("first-turn",), rounds=15, quick_rounds=3),
    Experiment(turns, ("new-conversation", "reply"), rounds=3, quick_rounds=1),
    Experiment(returns, ("return",), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(stream, ("deltas", "delta-cpu"), rounds=5, quick_rounds=2),
    Experiment(trickle, ("single-delta-cpu",), rounds=3, quick_rounds=1),
    Experiment(crowd, ("crowd", "idle-cpu"), rounds=3, quick_rounds=1, reference_rounds=1),
    Experiment(memory, ("memory-waiting", "memory-idle"), rounds=2, quick_rounds=1, reference_rounds=0),
    Experiment(commands, ("sandbox", "no-sandbox"), rounds=5, quick_rounds=1),
    Experiment(login_shells, ("login-shell",), rounds=3, quick_rounds=1),
    Experiment(bearers, ("bearer", "bearer-p99"), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(parked, ("memory-parked",), rounds=1, quick_rounds=1, reference_rounds=0),
    Experiment(kill, ("kill",), rounds=2, quick_rounds=1, reference_rounds=0),
)
"""In the order of execution."""


def _warmed_up(client: Client) -> str:
    """Do the handshake, have one conversation, and return its id."""
    client.initialize()
    return client.succeed(client.begin(_HELLO))[1]


def _time_of_step(client: Client, sandbox: str) -> float:
    """Milliseconds of one step in a turn that runs commands, in a conversation that has run some."""
    thread = client.succeed(client.begin(_COMMANDS, sandbox=sandbox))[1]
    begun = time.monotonic()
    client.succeed(client.reply(thread, _COMMANDS))
    return (time.monotonic() - begun) / COMMANDS * 1e3


def _time_of_bare_spawn() -> float:
    """Milliseconds for starting `true` and waiting for its end."""
    program = shutil.which("true") or "true"
    begun = time.monotonic()
    for _ in range(COMMANDS):
        os.waitpid(os.posix_spawn(program, [program], os.environ), 0)
    return (time.monotonic() - begun) / COMMANDS * 1e3


def _relay(client: Client, thread: str, what: str, count: int) -> None:
    """Have a streaming turn, and check that every delta arrives."""
    client.forget_deltas()
    client.succeed(client.reply(thread, bench_prompt(what)))
    if client.deltas != count:
        raise ContestantError(f"{client.contestant.name} relayed {client.deltas} of {count} deltas")


def _supervisor_with_parked(client: Client, count: int) -> int | None:
    """Have further conversations, wait until all are parked, and return the supervisor's private memory."""
    for _ in range(count):
        client.succeed(client.begin(_HELLO))
    while len(workers(client.pid)) > _SPARE:
        time.sleep(0.05)
    return private_bytes(client.pid)


def _turn_with_command(client: Client) -> int:
    """Have one conversation, and return the pid of its worker."""
    call = client.begin(_PARENT)
    parent = int(client.seek(_PARENT_PID))
    client.succeed(call)
    return worker_of_command(parent, client.pid).pid


def _megabytes(pids: list[int]) -> list[float]:
    known = [private_bytes(pid) for pid in pids]
    return [size / 1e6 for size in known if size is not None]

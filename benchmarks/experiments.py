"""How each figure is measured: one function for each kind of run, which starts a subject and returns samples."""

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice
from typing import Final

from benchmarks.app_experiments import app_start, app_turns, attach, many
from benchmarks.client import Client, SubjectError
from benchmarks.interpreters import VERSIONS, name_of
from benchmarks.processes import cpu_seconds, private_bytes, worker_of_command, workers
from benchmarks.resources import at_rest
from benchmarks.stage import Measured, Stage
from benchmarks.stream_experiments import capacity, one_silent_stream, one_stream, silent_streams, streams
from benchmarks.subject import (
    APP,
    APP_ATTACHED,
    ATTACHED,
    GREENROOM,
    LAUNCHED,
    NEWEST,
    REFERENCE,
    environment,
)
from benchmarks.telemetry import telemetry
from greenroom.demo.scripts import COMMANDS, LOGIN_COMMANDS, PROSE, TRICKLE, bench_prompt

CROWD: Final = 100
_CROWD_TIMEOUT: Final = 600.0
_SETTLING: Final = 2.0
"""Seconds after which a server that was busy, or has just started, counts as idle."""
_SETTLED: Final = 50
"""Conversations after which a supervisor has what it needs however many follow."""
_SPARE: Final = 2
"""Workers that wait for a conversation unless it is set otherwise."""
_HELLO: Final = bench_prompt("hello")
_COMMAND: Final = bench_prompt("command")
_COMMANDS: Final = bench_prompt("commands")
_LOGIN_COMMANDS: Final = bench_prompt("login commands")
_PROFILE_SECONDS: Final = 0.3
_PARENT: Final = bench_prompt("parent")
_PARENT_THEN_STALL: Final = bench_prompt("parent, then stall")
_PARENT_PID: Final = re.compile(rb"parent=(\d+)")
_INTERPRETERS: Final = frozenset(map(name_of, VERSIONS))
_APP_SERVERS: Final = (APP, APP_ATTACHED, NEWEST)


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


def fresh_first_turn(stage: Stage) -> Measured:
    """The same in a home where the program has never run."""
    with stage.in_fresh_home(stage.model.base_url) as fresh:
        return {"fresh-first-turn": first_turn(fresh)["first-turn"]}


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
    """Replies in conversations that are parked, one after the other; a worker waits for each, as for a new one."""
    reached: list[float] = []
    with stage.client("greenroom.park_after_s=0.1") as client:
        thread = _warmed_up(client)
        for _ in range(stage.sizes.turns):
            at_rest(client.pid, environment(stage.subject, stage.home), (), _SPARE)
            before = stage.model.total()
            begun = time.monotonic()
            client.succeed(client.reply(thread, _HELLO))
            reached.append((stage.model.arrivals(before)[0].arrived - begun) * 1e3)
    return {"return": reached}


def stream(stage: Stage) -> Measured:
    """One turn of many deltas: how fast they reach the client and what they cost the subject."""
    count = stage.sizes.deltas
    with stage.client() as client:
        thread = _warmed_up(client)
        before, used = stage.model.total(), cpu_seconds(client.pid)
        _relay(client, thread, f"stream {count}", count)
        used = cpu_seconds(client.pid) - used
        took = client.last_delta - stage.model.arrivals(before)[0].arrived
    return {"deltas": [count / took], "delta-cpu": [used / count * 1e6]}


def trickle(stage: Stage) -> Measured:
    """One turn whose deltas come at the pace of a fast model: nothing can be gained by taking many at once."""
    with stage.client() as client:
        thread = _warmed_up(client)
        used = cpu_seconds(client.pid)
        _relay(client, thread, "trickle", TRICKLE)
        return {"single-delta-cpu": [(cpu_seconds(client.pid) - used) / TRICKLE * 1e6]}


def crowd(stage: Stage) -> Measured:
    """Many calls at once, and what the conversations cost that are left of them."""
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
    """What a step with a command takes, model and all, above starting that program and nothing else."""
    with stage.client() as client:
        client.initialize()
        confined = _time_of_step(client, "read-only")
        free = _time_of_step(client, "danger-full-access")
    bare = _time_of_bare_spawn()
    return {"sandbox": [confined - bare], "no-sandbox": [free - bare]}


def memory(stage: Stage) -> Measured:
    """What a conversation that has run a command shares with no other, and a worker that waits for one with nobody.

    The reference has no processes for conversations: there it is by what the program grows for each of them.
    """
    with stage.client() as client:
        client.initialize()
        time.sleep(_SETTLING)
        if not stage.subject.is_greenroom:
            return {"memory-idle": _growth_of_conversation(client, stage.sizes.workers)}
        used = [_turn_with_command(client) for _ in range(stage.sizes.workers)]
        waiting = [worker.pid for worker in workers(client.pid) if worker.pid not in used]
        return {"memory-idle": _megabytes(used), "memory-waiting": _megabytes(waiting)}


def login_shells(stage: Stage) -> Measured:
    """What a step costs whose command asks for a login shell, in a home where that takes long."""
    home = os.path.join(stage.home, "slow-profile")
    os.makedirs(home, exist_ok=True)
    with open(os.path.join(home, ".bash_profile"), "w", encoding="utf-8") as profile:
        profile.write(f"sleep {_PROFILE_SECONDS}\n")
    subject = replace(stage.subject, environment={**stage.subject.environment, "HOME": home})
    with replace(stage, subject=subject).client() as client:
        thread = _warmed_up(client)
        client.succeed(client.reply(thread, _LOGIN_COMMANDS))
        begun = time.monotonic()
        client.succeed(client.reply(thread, _LOGIN_COMMANDS))
        return {"login-shell": [(time.monotonic() - begun) / LOGIN_COMMANDS * 1e3]}


def bearers(_: Stage) -> Measured:
    """What a worker waits for a bearer: the broker alone, with as many workers as the crowd has."""
    from benchmarks.bearers import measure

    waits = [seconds * 1e3 for seconds in measure(CROWD).seconds]
    return {"bearer": waits, "bearer-p99": waits}


def parked(stage: Stage) -> Measured:
    """By what the supervisor grows for a conversation that has had a turn and needs no process any more."""
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
                raise SubjectError(f"a killed worker's call was answered with {answer.line[:500]!r}")
            took.append((answer.at - killed) * 1e3)
    return {"kill": took}


@dataclass(frozen=True, slots=True)
class Experiment:
    """One kind of run and how often it is repeated."""

    measure: Callable[[Stage], Measured]
    figures: tuple[str, ...]
    rounds: int
    quick_rounds: int
    reference_rounds: int | None = None
    """Rounds in which the reference takes part, where that is not all of them; 0 where it cannot be asked."""
    launched: bool = False
    """Whether the reference takes part through its launcher, too."""
    on_each_interpreter: bool = False
    """Whether Greenroom takes part on every interpreter of the machine."""
    subjects: tuple[str, ...] = ()
    """Who takes part, where that is not Greenroom and the reference as MCP servers."""

    def takes(self, name: str) -> bool:
        """Tell whether the subject of this name takes part at all."""
        if self.subjects:
            return name in self.subjects
        if name == LAUNCHED:
            return self.launched
        if name in _INTERPRETERS:
            return self.on_each_interpreter
        return name in (GREENROOM, REFERENCE)

    def repetitions(self, *, of_reference: bool, quick: bool) -> int:
        """Return how often one subject does it."""
        rounds = self.quick_rounds if quick else self.rounds
        if not of_reference or self.reference_rounds is None:
            return rounds
        return 0 if quick else min(rounds, self.reference_rounds)


EXPERIMENTS: Final = (
    Experiment(start, ("start", "start-launched"), rounds=15, quick_rounds=3, launched=True, on_each_interpreter=True),
    Experiment(
        first_turn,
        ("first-turn", "first-turn-launched"),
        rounds=15,
        quick_rounds=3,
        launched=True,
        on_each_interpreter=True,
    ),
    Experiment(
        fresh_first_turn, ("fresh-first-turn", "fresh-first-turn-launched"), rounds=15, quick_rounds=3, launched=True
    ),
    Experiment(turns, ("new-conversation", "reply"), rounds=3, quick_rounds=1, on_each_interpreter=True),
    Experiment(returns, ("return",), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(stream, ("deltas", "delta-cpu"), rounds=5, quick_rounds=2),
    Experiment(trickle, ("single-delta-cpu",), rounds=3, quick_rounds=1),
    Experiment(one_stream, ("stream-1", "stream-1-whole"), rounds=3, quick_rounds=1, on_each_interpreter=True),
    Experiment(one_silent_stream, ("silent-1", "silent-1-whole"), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(streams, ("stream-40", "stream-40-whole", "latency", "latency-p99"), rounds=3, quick_rounds=1),
    Experiment(silent_streams, ("silent-40", "silent-40-whole"), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(capacity, ("capacity",), rounds=1, quick_rounds=1, reference_rounds=1),
    Experiment(crowd, ("crowd", "idle-cpu"), rounds=3, quick_rounds=1, reference_rounds=1, on_each_interpreter=True),
    Experiment(memory, ("memory-waiting", "memory-idle"), rounds=2, quick_rounds=1, on_each_interpreter=True),
    Experiment(commands, ("sandbox", "no-sandbox"), rounds=5, quick_rounds=1),
    Experiment(login_shells, ("login-shell",), rounds=3, quick_rounds=1),
    Experiment(bearers, ("bearer", "bearer-p99"), rounds=3, quick_rounds=1, reference_rounds=0),
    Experiment(parked, ("memory-parked",), rounds=1, quick_rounds=1, reference_rounds=0),
    Experiment(kill, ("kill",), rounds=2, quick_rounds=1, reference_rounds=0),
    Experiment(attach, ("attach",), rounds=15, quick_rounds=3, subjects=(ATTACHED, GREENROOM)),
    Experiment(app_start, ("app-start",), rounds=15, quick_rounds=3, subjects=_APP_SERVERS),
    Experiment(app_turns, ("app-new-conversation", "app-reply"), rounds=3, quick_rounds=1, subjects=_APP_SERVERS),
    Experiment(many, ("many-cpu", "many-memory", "many-p99"), rounds=3, quick_rounds=1, subjects=_APP_SERVERS),
    Experiment(telemetry, ("telemetry-cpu",), rounds=3, quick_rounds=1, reference_rounds=0),
)
"""In the order in which they run."""


def _warmed_up(client: Client) -> str:
    """Greet, have one conversation, and return its id."""
    client.initialize()
    return client.succeed(client.begin(_HELLO))[1]


def _time_of_step(client: Client, sandbox: str) -> float:
    """Milliseconds of one step of a turn that runs commands, in a conversation that has run some."""
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
    """Have a turn that streams so many deltas, and see that their whole text has come."""
    client.forget_streamed()
    client.succeed(client.reply(thread, bench_prompt(what)))
    sent = sum(map(len, islice(cycle(PROSE), count)))
    if client.streamed != sent:
        raise SubjectError(f"{client.subject.name} relayed {client.streamed} of {sent} characters")


def _supervisor_with_parked(client: Client, count: int) -> int | None:
    """Have so many conversations more, wait until all are parked, and return what the supervisor holds alone."""
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


def _growth_of_conversation(client: Client, count: int) -> list[float]:
    """Megabytes by which one process grows for each of its conversations, once it has had one."""
    client.succeed(client.begin(_PARENT))
    time.sleep(_SETTLING)
    before = private_bytes(client.pid)
    for _ in range(count):
        client.succeed(client.begin(_PARENT))
    time.sleep(_SETTLING)
    after = private_bytes(client.pid)
    return [] if before is None or after is None else [(after - before) / count / 1e6]


def _megabytes(pids: list[int]) -> list[float]:
    known = [private_bytes(pid) for pid in pids]
    return [size / 1e6 for size in known if size is not None]

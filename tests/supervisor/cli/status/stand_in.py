"""A stand-in for a supervisor: a process with children of the right names that serves a made-up report.

It plays a `Part`. It says what it is when it can be asked, and afterwards what it is ordered to do, each as one line of
JSON. It ends when its input ends or when it is told to stop.
"""

import asyncio
import os
import sys
import time
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

import msgspec

from greenroom.protocol.report import Report
from greenroom.runtime.files import directory
from greenroom.runtime.process import hardening
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.control import ControlServer
from greenroom.supervisor.control.control_messages import (
    ActionDone,
    ActionRefused,
    ControlAction,
    ControlAnswer,
    GiveReport,
    StopInstance,
)


@dataclass(frozen=True)
class Part:
    """What a stand-in plays."""

    report: str = "{}"
    """The JSON of a `Report` but for its time and instance. Pids are `"$broker"`, `"$worker0"` and so on."""
    engine: Literal["fork", "spawn"] = "fork"
    workers: int = 1
    commands: int = 0
    """Processes below each worker."""
    codex_home: str = "/home/ada/.codex"
    age: float = 3725.0
    """Seconds since its start."""
    undumpable: bool = False
    manner: Literal["plain", "failing", "mute", "deaf"] = "plain"
    """`failing`: it cannot make a report. `mute`: it accepts connections and sends nothing. `deaf`: nothing listens."""
    refusal: str = ""
    """What it answers to orders; with nothing it obeys."""


@dataclass(frozen=True)
class Node:
    """A process, and those below it."""

    label: str
    name: str
    below: "tuple[Node, ...]" = ()


class Lifeline:
    """A pipe that only the stand-in can write to: its end of file tells the others to follow."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def hang_on(self) -> NoReturn:
        """Do nothing until the stand-in is gone."""
        os.read(self._reader, 1)
        os._exit(0)

    def let_go(self) -> None:
        """A stand-in that only reads."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


def nodes(part: Part) -> tuple[Node, ...]:
    """Return what is below the supervisor."""
    workers = tuple(
        Node(f"worker{number}", "gr-worker", tuple(Node("", "sleep") for _ in range(part.commands)))
        for number in range(part.workers)
    )
    below = (Node("broker", "gr-broker"), *workers)
    return (Node("fork_server", "gr-forkserver", below),) if part.engine == "fork" else below


def grow(node: Node, lifeline: Lifeline, undumpable: bool) -> dict[str, int]:
    """Fork a process and what is below it, and return their pids by label."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        lifeline.let_go()
        hardening.set_name(node.name)
        if undumpable:
            hardening.make_undumpable()
        pids: dict[str, int] = {node.label: os.getpid()}
        for one in node.below:
            pids |= grow(one, lifeline, undumpable)
        os.write(writer, msgspec.json.encode(pids) + b"\n")
        lifeline.hang_on()
    os.close(writer)
    with open(reader, "rb") as pipe:
        told: dict[str, int] = msgspec.json.decode(pipe.readline())
    return told


def say(**facts: object) -> None:
    sys.stdout.write(msgspec.json.encode(facts).decode() + "\n")
    sys.stdout.flush()


async def play(part: Part, pids: dict[str, int]) -> None:
    """Serve the control socket until the input ends."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(0, lambda: over.set() if not os.read(0, 1024) else None)
    where = directory.create(os.environ)
    instance = instances.this_instance(part.codex_home, part.engine)
    instance = replace(instance, started_at=time.time() - part.age)
    text = part.report
    for label, pid in pids.items():
        text = text.replace(f'"${label}"', str(pid))

    async def report(_: GiveReport) -> Report:
        if part.manner == "failing":
            raise ValueError("no report today")
        return Report.model_validate({"at": time.time(), "instance": instance, **msgspec.json.decode(text)})

    def act(action: ControlAction) -> ControlAnswer:
        say(do=type(action).__name__, conversation_id=getattr(action, "conversation_id", None))
        if part.refusal:
            return ActionRefused(part.refusal)
        if isinstance(action, StopInstance):
            loop.call_soon(over.set)
        return ActionDone("as you wish")

    server = ControlServer(where, instance, report, act)
    try:
        if part.manner == "deaf":
            instances.write(where, instance)
        elif part.manner == "mute":
            await asyncio.start_unix_server(lambda *_: None, os.path.join(where, instances.CONTROL))
            instances.write(where, instance)
        else:
            await server.start()
        say(pid=os.getpid(), directory=where, pids=pids)
        await over.wait()
    finally:
        server.close()
        directory.remove_directory(where)


def main(part: Part) -> None:
    """Play a part in a process that has nothing else to do."""
    lifeline = Lifeline()
    pids: dict[str, int] = {}
    for node in nodes(part):
        pids |= grow(node, lifeline, part.undumpable)
    if part.undumpable:
        hardening.make_undumpable()
    asyncio.run(play(part, pids))

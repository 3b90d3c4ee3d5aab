"""How the figures of a host and of `app-server` are measured."""

import time
from contextlib import ExitStack
from typing import Final

from benchmarks.many_clients import CLIENTS
from benchmarks.many_clients import measure as measure_load
from benchmarks.stage import Measured, Stage
from greenroom.demo.scripts import bench_prompt

_HELLO: Final = bench_prompt("hello")


def attach(stage: Stage) -> Measured:
    """Time from starting a program to its answer to `initialize`: one that joins a host, or a server of its own."""
    with stage.host(), stage.client() as client:
        return {"attach": [(client.initialize().at - client.started) * 1e3]}


def app_start(stage: Stage) -> Measured:
    """The same by the protocol of `app-server`."""
    with stage.host(), stage.app_client() as client:
        return {"app-start": [(client.initialize().at - client.started) * 1e3]}


def app_first_turn(stage: Stage) -> Measured:
    """The first turn of a program. It is no figure: nothing is returned."""
    with stage.app_client() as client:
        client.initialize()
        client.turn(client.open(), _HELLO)
    return {}


def app_turns(stage: Stage) -> Measured:
    """New conversations and replies by that protocol, one after the other, in a server that has had one."""
    reached: list[float] = []
    replied: list[float] = []
    with stage.host(), stage.app_client() as client:
        client.initialize()
        thread = client.open()
        client.turn(thread, _HELLO)
        for _ in range(stage.sizes.turns):
            before = stage.model.total()
            begun = time.monotonic()
            client.turn(client.open(), _HELLO)
            reached.append((stage.model.arrivals(before)[0].arrived - begun) * 1e3)
        for _ in range(stage.sizes.turns):
            begun = time.monotonic()
            replied.append((client.turn(thread, _HELLO) - begun) * 1e3)
    return {"app-new-conversation": reached, "app-reply": replied}


def many(stage: Stage) -> Measured:
    """Many clients at once, on one host or with a server for each, with some conversations each."""
    with ExitStack() as stack:
        host = stack.enter_context(stage.host())
        clients = [stack.enter_context(stage.app_client()) for _ in range(CLIENTS)]
        for client in clients:
            client.initialize()
        pids = [client.pid for client in clients] + ([] if host is None else [host])
        used = measure_load(clients, pids, stage.sizes.load_seconds)
    return {
        "many-cpu": [used.cpu * 1e3],
        "many-memory": [] if used.memory is None else [used.memory / 1e6],
        "many-p99": [delay * 1e3 for delay in used.delays],
    }

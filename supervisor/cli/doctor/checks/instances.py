"""Checks of what else runs on the home: a host, other servers, and locks that are held."""

import os
from typing import Final

import msgspec

from greenroom.broker.storage.locks import REFRESH, STORE
from greenroom.protocol.instance import Instance
from greenroom.protocol.version import __version__
from greenroom.runtime.files import filelock
from greenroom.runtime.threads.daemon_thread import in_thread
from greenroom.supervisor.cli.doctor.check_context import CheckContext
from greenroom.supervisor.cli.doctor.finding import Detail, Finding, Problem, combined_finding
from greenroom.supervisor.cli.status.overview import Overview
from greenroom.supervisor.cli.status.process_sampler import ProcessSampler
from greenroom.supervisor.cli.status.status import overview
from greenroom.supervisor.control import instances
from greenroom.supervisor.control.instances import RunningInstance
from greenroom.supervisor.startup.host_lock import NAME, Holder

_MOST: Final = 4096


async def serving_host(context: CheckContext) -> Finding:
    """Tell whether a host serves the home, and whether it is of this version."""
    return await in_thread(lambda: _host(context))


async def others(context: CheckContext) -> Finding:
    """List the servers that run on the home, and what is wrong with them."""
    found = await in_thread(lambda: _on_home(context))
    if not found:
        return Finding("ok", "no server runs on this home")
    seen = await in_thread(lambda: overview(found, ProcessSampler()))
    return _judged(seen)


def _on_home(context: CheckContext) -> list[RunningInstance]:
    running = instances.running(instances.parents(context.environment))
    wanted = os.path.realpath(context.home)
    return [one for one in running if os.path.realpath(one.instance.codex_home) == wanted]


def _judged(seen: Overview) -> Finding:
    details: dict[str, Detail] = {}
    problems: list[Problem] = []
    for status in seen.instances:
        facts = status.instance
        details[f"pid {facts.pid}"] = f"greenroom {facts.version}, {facts.engine}, {status.reply}"
        problems += _of_version(facts)
        for trouble in status.troubles:
            remedy = f"Look at it with `greenroom status --instance {facts.pid}`, or end it with `greenroom stop`."
            problems.append(Problem("warning", f"the server {facts.pid}: {trouble.text}", remedy))
    count = len(seen.instances)
    well = "another server runs on this home" if count == 1 else f"{count} other servers run on this home"
    return combined_finding(problems, f"{well}, and shares its login", details)


def _of_version(facts: Instance) -> list[Problem]:
    if facts.version == __version__:
        return []
    text = f"the server {facts.pid} runs version {facts.version}, and this is {__version__}"
    return [
        Problem("warning", text, f"Restart it when its conversations allow: `greenroom stop --instance {facts.pid}`.")
    ]


def _host(context: CheckContext) -> Finding:
    path = os.path.join(context.home, NAME)
    holders = filelock.holders()
    details: dict[str, Detail] = {
        f"lock {name}": f"held by process {pid}"
        for name in (STORE, REFRESH)
        if (pid := _holder(os.path.join(context.home, name), holders)) is not None
    }
    pid = _holder(path, holders)
    if pid is None:
        return Finding("ok", "no host (`greenroom serve`) serves this home", details)
    facts = _facts(path)
    if facts is None:
        return Finding("ok", f"a host is starting, as process {pid}", details)
    details |= {"pid": str(facts.pid), "version": facts.version, "socket": facts.socket}
    if facts.socket and not os.path.exists(facts.socket):
        text = f"the host {facts.pid} serves this home, but its socket {facts.socket} is gone"
        return Finding("fail", text, details, f"Restart it: `greenroom stop --instance {facts.pid}`.")
    if facts.version != __version__:
        text = f"the host {facts.pid} runs version {facts.version}, and this is {__version__}"
        return Finding("warning", text, details, f"Restart it: `greenroom stop --instance {facts.pid}`.")
    return Finding("ok", f"the host {facts.pid} serves this home", details)


def _holder(path: str, holders: dict[int, int]) -> int | None:
    """Return the process that holds a lock, without touching the file."""
    try:
        return holders.get(os.stat(path).st_ino)
    except OSError:
        return None


def _facts(path: str) -> Holder | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(_MOST), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None

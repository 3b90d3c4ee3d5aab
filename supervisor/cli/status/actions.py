"""`greenroom stop`, `interrupt`, `kill` and `drain`: orders to a running instance, answered by text and exit code."""

import contextlib
import os
import select
import signal
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import ValidationError

from greenroom.protocol.report import Report
from greenroom.runtime.process import identity
from greenroom.supervisor.cli.output import conclude
from greenroom.supervisor.cli.status.control_client import ControlResponse, ask
from greenroom.supervisor.cli.status.diagnostics import DEGRADED, NOTHING, SILENT, WELL
from greenroom.supervisor.cli.status.status import find_instances, nothing_found
from greenroom.supervisor.control.control_messages import (
    ActionDone,
    ActionRefused,
    DisconnectClient,
    DrainNode,
    GiveReport,
    InterruptClient,
    InterruptConversation,
    KillConversation,
    Reported,
    StopInstance,
)
from greenroom.supervisor.control.instances import RunningInstance

END_TIMEOUT: Final = 10.0
"""Seconds that an instance has to end."""


def run_stop(arguments: Namespace) -> int:
    """End an instance as if its client had left; with `--force` also one that does not answer."""
    found = find_instances(arguments.instance)
    if not found:
        return conclude(NOTHING, nothing_found(arguments.instance))
    if len(found) > 1:
        running = ", ".join(str(one.instance.pid) for one in found)
        return conclude(NOTHING, f"several instances are running ({running}); choose one with --instance PID")
    (one,) = found
    response = ask([one.control], StopInstance())[one.control]
    status, text = _understood(one, response)
    more = response.reply.within if isinstance(response.reply, ActionDone) else 0.0
    if status == SILENT and arguments.force:
        _kill(one)
        status, text = WELL, "killed"
    if status != WELL:
        hint = "; --force kills it" if status == SILENT else ""
        return conclude(status, text + hint)
    if not _has_ended(one, more):
        text = f"instance {one.instance.pid} has not ended within {END_TIMEOUT + more:g} s; --force kills it"
        return conclude(SILENT, text)
    return conclude(WELL, f"instance {one.instance.pid} has ended")


def run_interrupt(arguments: Namespace) -> int:
    """End the turn that a conversation runs, or all turns of a client."""
    return _order(arguments.conversation, InterruptConversation, InterruptClient)


def run_kill(arguments: Namespace) -> int:
    """Kill the worker of a conversation, or disconnect a client."""
    return _order(arguments.conversation, KillConversation, DisconnectClient)


def run_drain(arguments: Namespace) -> int:
    """Let a node leave, once the conversations on it have ended their turns."""
    found = find_instances(None)
    if not found:
        return conclude(NOTHING, nothing_found(None))
    heard = ask([one.control for one in found], GiveReport())
    hits = [one for one, report in _reports(found, heard) if any(node.name == arguments.node for node in report.nodes)]
    if len(hits) != 1:
        count = "no running instance has" if not hits else f"{len(hits)} running instances have"
        return conclude(NOTHING, f"{count} a node of the name {arguments.node}")
    return conclude(*_understood(hits[0], ask([hits[0].control], DrainNode(arguments.node))[hits[0].control]))


def matches(conversation_id: str, given: str) -> bool:
    """Tell whether an id matches: the whole of it, its beginning, or its end as tables show it."""
    return conversation_id.startswith(given) or conversation_id.endswith(given)


def _order(
    given: str,
    kind: type[InterruptConversation] | type[KillConversation],
    of_client: type[InterruptClient] | type[DisconnectClient],
) -> int:
    found = find_instances(None)
    if not found:
        return conclude(NOTHING, nothing_found(None))
    responses = ask([one.control for one in found], GiveReport())
    silent = [one.instance.pid for one in found if responses[one.control].outcome != "answered"]
    hits = [
        *(
            (one, entry.id, kind(entry.id))
            for one, report in _reports(found, responses)
            for entry in report.conversations
        ),
        *(
            (one, entry.id, of_client(entry.id))
            for one, report in _reports(found, responses)
            for entry in report.clients
        ),
    ]
    hits = [hit for hit in hits if matches(hit[1], given)]
    if len(hits) == 1:
        one, _, order = hits[0]
        return conclude(*_understood(one, ask([one.control], order)[one.control]))
    if hits:
        ids = ", ".join(identity for _, identity, _ in hits)
        return conclude(NOTHING, f"{given} is not enough to tell which is meant: {ids}")
    if silent:
        pids = ", ".join(map(str, silent))
        return conclude(
            SILENT, f"no conversation or client {given} is known to those that answer; these do not: {pids}"
        )
    return conclude(NOTHING, f"no running instance has a conversation or client {given}")


def _reports(
    found: Sequence[RunningInstance], responses: dict[str, ControlResponse]
) -> Iterator[tuple[RunningInstance, Report]]:
    for one in found:
        reply = responses[one.control].reply
        if isinstance(reply, Reported):
            try:
                yield one, Report.model_validate_json(bytes(reply.report))
            except ValidationError:
                continue


def _understood(one: RunningInstance, response: ControlResponse) -> tuple[int, str]:
    """Return the exit code and the text for an answer."""
    match response.reply:
        case ActionDone(text=text):
            return WELL, text
        case ActionRefused(text=text):
            return DEGRADED, text
    return SILENT, f"instance {one.instance.pid} does not answer"


def _has_ended(one: RunningInstance, more: float = 0.0) -> bool:
    """Wait for the end of an instance, which is no child of this process (pidfd_open(2))."""
    timeout = END_TIMEOUT + more
    deadline = time.monotonic() + timeout
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(one.instance.pid)
        except ProcessLookupError:
            return True
        try:
            if not _is_alive(one):
                return True
            select.select([descriptor], [], [], timeout)
        finally:
            os.close(descriptor)
        return not _is_alive(one)
    while _is_alive(one) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not _is_alive(one)


def _is_alive(one: RunningInstance) -> bool:
    return identity.created(one.instance.pid) == one.instance.created


def _kill(one: RunningInstance) -> None:
    """Kill a supervisor and all processes of its tree, each only if its time of creation is unchanged."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(one.instance.pid)
        tree = (root, *root.children(recursive=True)) if _is_alive(one) else ()
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)

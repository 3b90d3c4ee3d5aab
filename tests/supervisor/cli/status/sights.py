"""Made-up sights of instances, for tests of what is made of them."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from greenroom.protocol.instance import Instance
from greenroom.protocol.report import ConversationEntry, ProcessEntry, Report
from greenroom.supervisor.cli.status.control_client import ControlResponse
from greenroom.supervisor.cli.status.diagnostics import exit_code, troubles
from greenroom.supervisor.cli.status.overview import InstanceStatus, Overview, instance_status
from greenroom.supervisor.cli.status.seen_process import SeenProcess
from greenroom.supervisor.control.control_messages import Reported
from greenroom.supervisor.control.instances import RunningInstance

NOW = time.mktime((2026, 11, 22, 14, 2, 11, 0, 0, -1))
SUPERVISOR, FORK_SERVER, BROKER, WORKER, SPARE, COMMAND = 100, 101, 102, 103, 104, 105
ID = "01a20312-0577-77d3-9bb9-ad78bbf82560"
INSTANCE = Instance(SUPERVISOR, "boot/1", "0.1.0", "/home/ada/.codex", "fork", NOW - 7500)
FOUND = RunningInstance("/run/user/1000/greenroom/100-abc", INSTANCE, NOW - 3)


def process(pid: int, parent: int, name: str, state: str = "sleeping", **more: Any) -> SeenProcess:
    """Make what the kernel shows of a process."""
    facts: dict[str, Any] = {
        "created_at": NOW - 60,
        "rss": 31 << 20,
        "uss": None,
        "pss": None,
        "cpu_seconds": 1.0,
        "cpu_percent": 0.3,
        "threads": 1,
        "descriptors": None,
    }
    return SeenProcess(pid=pid, parent=parent, name=name, state=state, **(facts | more))


TREE = (
    process(SUPERVISOR, 1, "greenroom", threads=3),
    process(FORK_SERVER, SUPERVISOR, "gr-forkserver"),
    process(BROKER, FORK_SERVER, "gr-broker"),
    process(WORKER, FORK_SERVER, "gr-worker"),
    process(COMMAND, WORKER, "make"),
    process(SPARE, FORK_SERVER, "gr-worker"),
)
ENTRIES = (
    ProcessEntry(role="supervisor", pid=SUPERVISOR, state="ready"),
    ProcessEntry(role="fork_server", pid=FORK_SERVER, state="ready"),
    ProcessEntry(role="broker", pid=BROKER, state="ready"),
    ProcessEntry.model_validate({"role": "worker", "pid": WORKER, "state": "hosting", "conversation_id": ID}),
    ProcessEntry(role="worker", pid=SPARE, state="ready"),
)


def conversation(**facts: Any) -> ConversationEntry:
    """Make the entry of a conversation that runs a turn."""
    turn = {"id": "t-1", "age": 72.4, "doing": "running the tool shell"}
    known = {"id": ID, "state": "running", "incarnation": 1, "pid": WORKER, "turn": turn}
    return ConversationEntry.model_validate(known | facts)


def report(**facts: Any) -> Report:
    """Make a report of an instance that is well."""
    known = {"at": NOW, "instance": INSTANCE, "processes": ENTRIES, "conversations": (conversation(),)}
    return Report.model_validate(known | facts)


def sight(
    told: Report | None = None,
    response: ControlResponse | None = None,
    tree: Sequence[SeenProcess] = TREE,
    found: RunningInstance = FOUND,
) -> InstanceStatus:
    """Put an instance together as the command does."""
    said = ControlResponse("answered", Reported(msgspec.Raw((told or report()).model_dump_json().encode())), 0.002)
    status = instance_status(found, response or said, list(tree))
    return status.model_copy(update={"troubles": troubles(status, NOW)})


def view(*statuses: InstanceStatus) -> Overview:
    """Make what the command shows."""
    return Overview(at=NOW, exit_code=exit_code(statuses), instances=statuses)

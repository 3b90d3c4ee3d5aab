"""A saved conversation that dashboards of tests show as it grows."""

import json
from pathlib import Path
from typing import Any, Final

from greenroom.protocol.instance import Instance
from greenroom.supervisor.control.instances import RunningInstance
from tests.sessions.test_index import answered, called, context, item, line, meta, said, save
from tests.supervisor.cli.dashboard.scenes import conversation_id

PID: Final = 41_200
STEPS: Final = (
    "Reproduce the failure",
    "Find the race between the two timers",
    "Make the order explicit",
    "Run the whole suite twenty times",
)
TASK: Final = (
    "The test `test_jobs_run_in_order` fails about once in fifty runs on CI. Please find out why and mend it; "
    "do not just retry it."
)
LISTING: Final = """def due(self, now):
    ready = [job for job in self._jobs if job.at <= now]
    return sorted(ready, key=lambda job: (job.at, job.serial))"""
ANSWER: Final = f"""The race is in `Scheduler.due`: two jobs that are due at the **same millisecond** were returned in \
the order of a set.

```python
{LISTING}
```

Each job now has a serial number, which decides between equal times. I am running the suite to be sure."""


def plan(done: int, call_id: str) -> list[str]:
    """Return the lines of a plan of which so many steps are done."""
    status = ["completed"] * done + ["in_progress"] + ["pending"] * len(STEPS)
    steps = [{"step": step, "status": status[place]} for place, step in enumerate(STEPS)]
    return [called("update_plan", {"plan": steps}, call_id), answered("Plan updated", call_id)]


def shell(command: str, output: str, call_id: str) -> list[str]:
    """Return the lines of a command."""
    told = {"output": output, "metadata": {"exit_code": 0, "duration_seconds": 0.1}}
    return [
        called("shell", {"command": ["bash", "-lc", command]}, call_id),
        answered(json.dumps(told), call_id),
    ]


def begun(number: int = 0) -> list[str]:
    """Return the lines of a conversation in the middle of its work."""
    failures = "\n".join(f"run {run:>3}  {'FAILED' if run == 31 else 'passed'}" for run in range(1, 41))
    return [
        meta(conversation_id(number)),
        context("gpt-5-codex"),
        line("event_msg", type="task_started", turn_id="1", started_at=1.0),
        said("user", TASK),
        *plan(0, "p1"),
        thinks(
            "**Looking for shared state**\n\nThe test orders jobs by time alone. If two are due at once, what decides?"
        ),
        *shell("for n in $(seq 40); do pytest -q tests/test_jobs.py; done", failures, "s1"),
        *plan(1, "p2"),
        *shell("grep -n 'set(' scheduler.py", "41:        self._jobs = set()", "s2"),
        *plan(2, "p3"),
        said("assistant", ANSWER),
        *plan(3, "p4"),
    ]


def thinks(text: str) -> str:
    """Return the line of a reasoning."""
    return item(type="reasoning", summary=[{"type": "summary_text", "text": text}])


def write(home: Path, lines: list[str], number: int = 0) -> Path:
    """Save a conversation, and return its file."""
    return save(home, *lines, conversation_id=conversation_id(number))


def append(path: Path, *lines: str) -> None:
    """Let a session file grow."""
    with path.open("a") as file:
        file.write("".join(f"{one}\n" for one in lines))


def found(home: Path, pid: int = PID, **facts: Any) -> list[RunningInstance]:
    """Return the instance of a home, as it is found."""
    instance = Instance(pid, "boot/1", "0.1.0", str(home), "fork", 0.0)
    return [RunningInstance(facts.get("directory", "/nonexistent"), instance, 0.0)]

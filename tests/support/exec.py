"""Runs of `greenroom exec` on a stage."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.server import MODULE
from tests.support.server import run as run_program
from tests.support.stage import Stage

PROGRAM = (*MODULE, "exec")
ANYWHERE = "--skip-git-repo-check"


@dataclass(frozen=True)
class Ran:
    """A run that has ended."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of standard output, each a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def thread(self) -> str:
        """The id of the conversation."""
        (started,) = (event for event in self.events if event["type"] == "thread.started")
        found: str = started["thread_id"]
        return found

    @property
    def items(self) -> list[dict[str, Any]]:
        """The items that have ended."""
        return [event["item"] for event in self.events if event["type"] == "item.completed"]

    @property
    def kinds(self) -> list[str]:
        """The types of the events, with those of their items."""
        return [
            f"{event['type']} {event['item']['type']}" if "item" in event else event["type"] for event in self.events
        ]


def begin(
    stage: Stage, *arguments: str, program: Sequence[str] = PROGRAM, cwd: str | None = None, **environment: str
) -> "subprocess.Popen[str]":
    """Start a run whose standard input is empty. The stage checks at its end that nothing is left of it."""
    return subprocess.Popen(
        (*program, *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=stage.environment(**environment),
        cwd=cwd or stage.cwd,
        text=True,
    )


def run(
    stage: Stage,
    *arguments: str,
    stdin: str | bytes = "",
    program: Sequence[str] = PROGRAM,
    cwd: str | None = None,
    **environment: str,
) -> Ran:
    """Run to the end."""
    given = stdin if isinstance(stdin, bytes) else stdin.encode()
    command, variables = (*program, *arguments), stage.environment(**environment)
    done = run_program(command, variables, stage.template, given, cwd or stage.cwd)
    return Ran(done.returncode, done.stdout, done.stderr)


def run_json(stage: Stage, *arguments: str, stdin: str = "", **environment: str) -> Ran:
    """Run to the end, with lines for programs, outside a Git repository."""
    return run(stage, "--json", ANYWHERE, *arguments, stdin=stdin, **environment)

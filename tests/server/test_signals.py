"""Programs that a conversation starts can be interrupted, whatever their sandbox and the process that starts them."""

import signal
import stat
from typing import get_args

import pytest

from greenroom.demo.script import CommandStep, Quote, rule
from greenroom.protocol.policy import SandboxMode
from tests.support.client import text
from tests.support.deadline import until
from tests.support.stage import Stage

pytestmark = [pytest.mark.both_engines, pytest.mark.executed]  # what is ignored comes from an exec

IGNORED = ("sed", "-n", r"s/^SigIgn:[[:space:]]*//p", "/proc/self/status")
"""Prints the mask of the signals that it ignores (proc_pid_status(5))."""
LOOK = rule("look", [CommandStep(IGNORED)], [Quote("ignored: ")])


def ignores(mask: str, number: signal.Signals) -> bool:
    return bool(int(mask, 16) & 1 << number - 1)


def test_neither_commands_nor_the_program_of_notify_ignore_interrupts(stage: Stage, engine: str) -> None:
    told, program = stage.workspace / "told", stage.workspace / "notify"
    program.write_text(
        f"#!/bin/sh\nsed -n 's/^SigIgn:[[:space:]]*//p' /proc/self/status > {told}.new && mv {told}.new {told}\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    stage.play(LOOK, top=f'notify = ["{program}"]')
    client = stage.serve(engine).client
    for mode in get_args(SandboxMode):
        mask = text(client.result(client.codex("look", cwd=stage.cwd, sandbox=mode)))
        assert not ignores(mask.removeprefix("ignored: ").strip(), signal.SIGINT), mode
    until(told.exists)
    assert not ignores(told.read_text(), signal.SIGINT)

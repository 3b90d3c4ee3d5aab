"""The command line costs a server's start next to nothing, and is wrong in one way only."""

import argparse
import subprocess
import sys

import pytest

from greenroom.supervisor.cli.status.commands import add_commands

FULL_ID = "01a20312-0577-77d3-9bb9-ad78bbf82560"
HEAVY = ("asyncio", "msgspec", "psutil", "pydantic", "socket", "greenroom.workers", "zmq")


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="greenroom")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    return parser.parse_args(words)


def test_nothing_heavy_is_imported_until_a_command_runs() -> None:
    code = (
        "import sys, greenroom.supervisor.cli.status.commands;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_what_is_left_out_has_its_default() -> None:
    status = parse("status")
    assert (status.instance, status.json, status.watch) == (None, False, None)
    assert parse("status", "--watch").watch == 2.0
    assert parse("status", "--watch", "0.5").watch == 0.5
    assert parse("sessions").limit == parse("sessions", "list").limit == 20
    assert parse("kill", "AD78").conversation == "ad78"


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--instance", "one"),
        ("status", "--watch", "0"),
        ("status", "--watch", "often"),
        ("status", "extra"),
        ("stop", "123"),
        ("interrupt",),
        ("interrupt", "abc"),
        ("kill", "abc"),
        ("sessions", "list", "-n", "-1"),
        ("sessions", "show"),
        ("sessions", "dance"),
        ("sessions", "list", "--state", "odd"),
        ("sessions", "export", FULL_ID, "--format", "pdf"),
        ("sessions", "delete", "abc"),
    ],
)
def test_wrong_usage_is_code_1(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """2 says that an instance does not answer."""
    with pytest.raises(SystemExit) as leaving:
        parse(*words)
    assert leaving.value.code == 1
    assert "usage: greenroom" in capsys.readouterr().err

"""Results go to standard output, complaints to standard error, and a reader that leaves is no error."""

import subprocess
import sys
from typing import Final

import pytest

from greenroom.supervisor.cli.output import UntilReaderLeaves, conclude, refuse

PRINTS: Final = """
import sys
from greenroom.supervisor.cli.output import UntilReaderLeaves, say
sys.stdin.readline()
with UntilReaderLeaves():
    for _ in range({lines}):
        say("x" * 100)
sys.exit(7)
"""


def test_a_result_is_said_and_anything_else_is_a_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert (conclude(0, "done"), conclude(3, "not done"), refuse(0, "nothing")) == (0, 3, 0)
    assert capsys.readouterr() == ("done\n", "greenroom: not done\ngreenroom: nothing\n")


@pytest.mark.parametrize("lines", [1, 100_000], ids=["in the buffer", "beyond it"])
def test_a_reader_that_leaves_is_no_error(lines: int) -> None:
    command = [sys.executable, "-c", PRINTS.format(lines=lines)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as printer:
        assert printer.stdin is not None
        assert printer.stdout is not None
        assert printer.stderr is not None
        printer.stdout.close()
        printer.stdin.write(b"\n")
        printer.stdin.close()
        told = printer.stderr.read()
    assert (printer.returncode, told) == (7, b"")


def test_other_errors_pass() -> None:
    with pytest.raises(ValueError, match="other"), UntilReaderLeaves():
        raise ValueError("other")

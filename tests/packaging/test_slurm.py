"""The batch script is sound, and starts on each machine a node that the command line knows, under a name of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from greenroom.config.tables.nodes import node_name
from greenroom.supervisor.cli import command_line

SCRIPT: Final = Path(__file__).parents[2] / "packaging" / "slurm" / "greenroom-nodes.sbatch"
SRUN: Final = """#!/bin/bash
echo "$1 $2" >> "$SRUN_LOG"
shift 2
for rank in 0 1 2; do SLURM_PROCID=$rank "$@"; done
"""
"""Starts what it is told, three times, one after the other; the options of `srun` come first."""
GREENROOM: Final = '#!/bin/bash\nprintf "%s\\0" "$@" >> "$GREENROOM_LOG"\nprintf "\\n" >> "$GREENROOM_LOG"\n'


def run(directory: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script with an `srun` and a `greenroom` that write down how they are called."""
    for name, text in (("srun", SRUN), ("greenroom", GREENROOM)):
        program = directory / name
        program.write_text(text)
        program.chmod(0o755)
    logs = {f"{name}_LOG": str(directory / f"{name}.log") for name in ("SRUN", "GREENROOM")}
    return subprocess.run(
        ("bash", str(SCRIPT)),
        env={"PATH": f"{directory}:{os.environ['PATH']}", "HOME": "/home/ada", **logs, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_is_sound() -> None:
    checked = subprocess.run(("bash", "-n", str(SCRIPT)), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    program = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert program is not None, "it comes with the packages for development"
    checked = subprocess.run((program, "--shell=bash", str(SCRIPT)), capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_each_rank_is_a_node_of_the_pool_with_a_state_of_its_own(tmp_path: Path) -> None:
    done = run(tmp_path, GREENROOM_HOST="tcp://login-1:7700", GREENROOM_POOL="batch", GREENROOM_CAPACITY="7")
    assert done.returncode == 0, done.stderr
    calls = [line.split("\0")[:-1] for line in (tmp_path / "GREENROOM.log").read_text().splitlines()]
    nodes = [command_line.command_parser().parse_args(words) for words in calls]
    assert [node_name(node.name) for node in nodes] == ["batch-0", "batch-1", "batch-2"]
    assert {node.join for node in nodes} == {"tcp://login-1:7700"}
    assert {node.capacity for node in nodes} == {7}
    assert {node.ticket for node in nodes} == {"/home/ada/.local/state/greenroom-node/batch.ticket"}
    assert len({node.state for node in nodes}) == 3
    assert (tmp_path / "SRUN.log").read_text() == "--kill-on-bad-exit=0 --wait=0\n"


def test_it_does_not_start_without_an_address(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode != 0
    assert "GREENROOM_HOST" in done.stderr
    assert not (tmp_path / "SRUN.log").exists()


def test_slurm_takes_it() -> None:
    program = shutil.which("sbatch")
    if program is None or not Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("there is no Slurm that is set up")
    done = subprocess.run(
        (program, "--test-only", str(SCRIPT)), capture_output=True, text=True, timeout=30, check=False
    )
    if "Unable to contact" in done.stderr:
        pytest.skip("no controller of Slurm answers")
    assert done.returncode == 0, done.stderr

"""The units are well formed, and what they shut out is as much as systemd itself counts."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from greenroom.config.defaults import Limits
from greenroom.supervisor.cli import command_line

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
USER, SYSTEM, NODE = UNITS / "greenroom.service", UNITS / "greenroom@.service", UNITS / "greenroom-node.service"
EXPOSURE = {USER: 82, SYSTEM: 35, NODE: 35}
"""The most, in tenths, that `systemd-analyze security` may find. What a user's own manager can shut out is little: it
has no right to most of it, and conversations work in the user's files."""


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze")
    done = subprocess.run((program, *words), capture_output=True, text=True, timeout=60, check=False)
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd cannot be asked here")
    return done


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with a program that is there."""
    for unit in UNITS.iterdir():
        text = re.sub(r"^(Exec\w+)=\S+", r"\1=/bin/true", unit.read_text(), flags=re.MULTILINE)
        (tmp_path / unit.name).write_text(text)
    return tmp_path


def test_the_units_are_well_formed(units: Path) -> None:
    done = analyze("verify", "--man=no", *sorted(str(path) for path in units.iterdir()))
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("unit", [USER, SYSTEM, NODE], ids=lambda unit: unit.name)
def test_a_unit_shuts_out_what_it_can(units: Path, unit: Path) -> None:
    done = analyze("security", "--offline=yes", f"--threshold={EXPOSURE[unit]}", "--no-pager", str(units / unit.name))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", [USER, SYSTEM], ids=lambda unit: unit.name)
def test_the_limits_of_a_unit_fit_those_of_the_program(unit: Path) -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE))
    limits = Limits()
    assert int(settings["TimeoutStopSec"]) >= limits.drain + 10
    assert int(settings["LimitNOFILE"]) >= limits.live_workers * 20
    assert settings["RestartPreventExitStatus"] == "2 3"
    assert settings["Type"] == "notify"
    assert settings["ExecStart"].endswith("/greenroom serve")


def test_the_unit_of_a_node_starts_one_and_gives_its_turns_their_time() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", NODE.read_text(), re.MULTILINE))
    program, *words = settings["ExecStart"].split()
    assert program.endswith("/greenroom")
    arguments = command_line.command_parser().parse_args(words)
    assert arguments.run is command_line._node
    assert arguments.state.endswith(settings["StateDirectory"])
    assert int(settings["TimeoutStopSec"]) >= Limits().drain + 15
    assert settings["RestartPreventExitStatus"] == "2"

"""People install the wheel with the tools that they have, and each of them runs it, and takes it away again."""

import os
from pathlib import Path

import pytest

from greenroom.protocol.version import __version__
from tests.packaging.installers import Installer, Pipx, Uv

pytestmark = pytest.mark.processes

VERSION = f"greenroom {__version__}\n"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [Uv, Pipx])
def test_it_is_installed_run_and_uninstalled(tmp_path: Path, wheels: Path, kind: type[Installer]) -> None:
    installer = kind.find(tmp_path, wheels)
    installer.install()
    assert installer.run("greenroom", "--version") == VERSION
    assert installer.run("greenroom", "completion", "bash").startswith("# Completion of greenroom")
    installer.uninstall()
    assert not os.path.lexists(installer.bin / "greenroom")


@pytest.mark.timeout(120)
def test_uvx_runs_it_without_an_installation(tmp_path: Path, wheels: Path) -> None:
    uv = Uv.find(tmp_path, wheels)
    assert uv.run(uv.program, "tool", "run", "greenroom", "--version") == VERSION
    assert not os.path.lexists(uv.bin / "greenroom")

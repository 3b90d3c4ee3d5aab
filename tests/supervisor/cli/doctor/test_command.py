"""The command as a process: read-only, bounded, in the form that hosts know, and with nothing left behind."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.supervisor.cli.doctor import command, examination
from greenroom.supervisor.cli.doctor.table import CHECKS
from tests.broker.homes import tokens
from tests.conftest import Templates
from tests.supervisor.cli.doctor.listing_server import ListingServer, listing_server
from tests.supervisor.cli.doctor.scene import SECRETS
from tests.support import processes
from tests.support.server import MODULE, run
from tests.support.template import MARKER, Template

LIMIT = 60_000
"""Milliseconds after which a run counts as one that hangs. It waits for less than ten seconds, but a machine that is
busy with other tests may let it wait for its turn."""

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def server() -> Iterator[ListingServer]:
    with listing_server() as running:
        yield running


class Place:
    """A home and a working directory, and the runs on them."""

    def __init__(self, root: Path, server: ListingServer, template: Template | None) -> None:
        self._template = template
        self.root, self.home, self.cwd, self.runtime = root, root / "home", root / "work", root / "run"
        for directory in (self.home, self.cwd, self.runtime):
            directory.mkdir(mode=0o700)
        (self.cwd / "file").write_text("x")
        self.url = server.url("ok")
        self.run_id = uuid.uuid4().hex

    def configure(self, more: str = "") -> None:
        config = self.home / "config.toml"
        config.write_text(f'model = "scripted"\nopenai_base_url = "{self.url}"\n{more}\n')
        (self.home / "auth.json").write_text(json.dumps(tokens(SECRETS["refresh"])))
        (self.home / ".env").write_text(f"SOME_TOKEN={SECRETS['stored']}\n")
        for path in (config, self.home / "auth.json", self.home / ".env"):
            path.chmod(0o600)

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "CODEX_HOME": str(self.home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            MARKER: self.run_id,
            **variables,
        }
        return run((*MODULE, "doctor", *arguments), environment, self._template, cwd=str(self.cwd))

    def everything(self) -> dict[str, tuple[int, int, bytes]]:
        """Return mode, time of modification and content of all that is in the home and the working directory."""
        found = {}
        for top in (self.home, self.cwd):
            for path in (top, *sorted(top.rglob("*"))):
                facts = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                found[str(path)] = (facts.st_mode, facts.st_mtime_ns, content)
        return found


@pytest.fixture
def place(request: pytest.FixtureRequest, _templates: Templates, tmp_path: Path, server: ListingServer) -> Place:
    return Place(tmp_path, server, _templates(request))


def test_a_run_is_read_only_bounded_and_leaves_nothing(place: Place) -> None:
    """Also of a program of the user that starts another one, which leaves its session and outlives it."""
    script = "setsid sleep 300 >/dev/null 2>&1 & echo the-token"
    place.configure(
        f'[model_providers.p]\nbase_url = "{place.url}"\n'
        f'[model_providers.p.auth]\ncommand = "/bin/sh"\nargs = {json.dumps(["-c", script])}\n'
    )
    before, temporary = place.everything(), place.root / "tmp"
    temporary.mkdir()
    done = place.run("--json", TMPDIR=str(temporary))
    assert place.everything() == before
    assert (os.listdir(temporary), os.listdir(place.runtime)) == ([], [])
    assert list(processes.marked(place.run_id)) == []
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    checks = report["checks"]
    assert report["durationMs"] < LIMIT
    assert list(checks) == [check.id for check in CHECKS]
    assert [place for place, secret in SECRETS.items() if secret in done.stdout] == []


def test_the_report_has_the_members_of_the_reference(place: Place) -> None:
    place.configure()
    done = place.run("--json", "-c", "modle=1")
    report: dict[str, Any] = json.loads(done.stdout)
    assert report.keys() >= {"schemaVersion", "generatedAt", "overallStatus", "codexVersion", "checks"}
    assert report["schemaVersion"] == 1
    wanted = {"id", "category", "status", "summary", "details", "remediation", "durationMs"}
    assert {frozenset(check) for check in report["checks"].values()} == {frozenset(wanted)}
    worst = max((check["status"] for check in report["checks"].values()), key=["ok", "warning", "fail"].index)
    assert (report["overallStatus"], done.returncode) == (worst, ["ok", "warning", "fail"].index(worst))
    assert report["checks"]["config.keys"]["status"] == "warning"


def test_people_get_lines_that_fit(place: Place) -> None:
    place.configure('approval_polcy = "never"\n')
    done = place.run("--all", COLUMNS="80", LC_ALL="C.UTF-8")
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert lines[0].startswith("greenroom doctor")
    assert any(line.startswith("WARN  config.keys: `approval_polcy`") for line in lines)
    assert f"{len(CHECKS)} checks: " in lines[-1]
    short = place.run("--summary", COLUMNS="80", LC_ALL="C.UTF-8").stdout
    assert "config.keys" in short
    assert "network.env" not in short


def test_a_home_that_does_not_answer_is_reported_in_time(place: Place) -> None:
    """Opening a settings file that is a pipe blocks, as with a dead file server."""
    place.configure()
    (place.home / "config.toml").unlink()
    os.mkfifo(place.home / "config.toml")
    done = place.run("--json")
    report: dict[str, Any] = json.loads(done.stdout)
    checks = report["checks"]
    assert report["durationMs"] < LIMIT
    assert (done.returncode, checks["config.load"]["status"]) == (2, "fail")
    assert "hangs" in checks["config.load"]["summary"]
    assert list(processes.marked(place.run_id)) == []


def test_all_waits_together_leave_half_a_second_of_ten_for_work() -> None:
    assert command.LOOK_SECONDS + examination.SECONDS + examination.GRACE + command.END_SECONDS <= 9.5


def test_a_home_that_is_none_is_a_finding_and_no_crash(place: Place) -> None:
    done = place.run("--json", CODEX_HOME="/nowhere/at/all")
    checks = json.loads(done.stdout)["checks"]
    assert (done.returncode, checks["state.paths"]["status"]) == (2, "fail")
    assert "Set CODEX_HOME" in checks["state.paths"]["remediation"]

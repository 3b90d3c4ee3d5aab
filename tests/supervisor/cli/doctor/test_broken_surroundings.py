"""Each way in which surroundings are broken is found, by its id, with a text that says what to do and no secret."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from greenroom.protocol.version import __version__
from greenroom.supervisor.cli.doctor import confined
from greenroom.supervisor.cli.doctor.checks import installation, sandbox
from greenroom.supervisor.cli.doctor.finding import Finding
from greenroom.workers.sandbox.launcher import Launcher
from greenroom.workers.sandbox.rules.features import probe
from greenroom.workers.sandbox.starter import LaunchedStarter
from tests.supervisor.cli.doctor.broken_scenes import FAULTY, SCENES, Stagehand
from tests.supervisor.cli.doctor.listing_server import ListingServer, listing_server, package_index
from tests.supervisor.cli.doctor.scene import SECRETS, Scene, everything_said
from tests.support import processes


@pytest.fixture(scope="module")
def server() -> Iterator[ListingServer]:
    with listing_server() as running:
        yield running


@pytest.fixture
def scene(tmp_path: Path, server: ListingServer) -> Iterator[Scene]:
    made = Scene(tmp_path, server)
    yield made
    made.close()


@pytest.mark.parametrize("name", SCENES)
def test_what_is_broken_is_found(name: str, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """All checks run in each scene: one that is broken neither hides another's finding nor holds it up."""
    broken = SCENES[name]
    with ExitStack() as stack:
        broken.prepare(scene, Stagehand(stack, monkeypatch))
        report = scene.report()
    found = report.checks[broken.check]
    assert (found.status, report.exit_code > 0) == (broken.status, True), found
    assert broken.says in found.summary, found
    assert broken.advises in (found.remediation or ""), found
    said = everything_said(report)
    assert [place for place, secret in SECRETS.items() if secret in said] == []
    failed = {check.id: check.summary for check in report.checks.values() if "the check itself failed" in check.summary}
    assert failed == {}


def test_there_are_enough_scenes_and_most_checks_have_one() -> None:
    assert len(SCENES) >= 40
    ids = {broken.check for broken in SCENES.values()}
    assert ids >= {"config.load", "auth.credentials", "network.env", "sandbox.helpers", "mcp.servers", "system.disk"}


def test_nothing_is_found_where_all_is_well(scene: Scene) -> None:
    """But for the sandbox, which these scenes have none of."""
    report = scene.report()
    bad = {check.id: check.summary for check in report.checks.values() if check.status != "ok"}
    assert bad.keys() <= {"sandbox.helpers", "sandbox.rights"}, bad


def test_a_home_behind_a_link_is_well_and_told(scene: Scene) -> None:
    (scene.root / "link").symlink_to(scene.home)
    scene.environment["CODEX_HOME"] = str(scene.root / "link")
    found = scene.report(frozenset({"state.paths"})).checks["state.paths"]
    assert (found.status, found.details["leads to"]) == ("ok", str(scene.home))


def test_an_expired_token_is_neither_sent_nor_renewed(scene: Scene, server: ListingServer) -> None:
    scene.use_login()
    scene.log_in(lasts=-7200.0)
    before, server.requests[:] = (scene.home / "auth.json").read_bytes(), []
    report = scene.report()
    assert report.checks["provider.credentials"].status == "fail"
    assert [headers for _, headers in server.requests if "authorization" in headers] == []
    assert len(server.requests) == 1
    assert (scene.home / "auth.json").read_bytes() == before


def test_each_provider_gets_one_request_with_its_own_credential(scene: Scene, server: ListingServer) -> None:
    url = server.url("spare")
    scene.configure(
        tables=f'[model_providers.spare]\nbase_url = "{url}"\nexperimental_bearer_token = "{SECRETS["bearer"]}"'
    )
    server.requests[:] = []
    report = scene.report()
    assert report.checks["provider.credentials"].status == "ok"
    sent = {path.split("/")[1]: headers["authorization"] for path, headers in server.requests}
    assert sent == {"ok": f"Bearer {SECRETS['key']}", "spare": f"Bearer {SECRETS['bearer']}"}
    assert len(server.requests) == 2


def test_a_server_that_lists_nothing_is_no_problem(scene: Scene) -> None:
    for behaviour in ("garbage", "404"):
        scene.configure(behaviour)
        found = scene.report(frozenset({"provider.model", "provider.credentials"})).checks
        assert {check.status for check in found.values()} == {"ok"}


def test_every_value_is_told_with_its_layer(scene: Scene) -> None:
    tables = '[profiles.fast]\nmodel = "scripted-mini"\n[profiles.slow]\nmodel = "other"'
    scene.configure(top='profile = "fast"\nhide_agent_reasoning = true', tables=tables)
    scene.overrides = ("approval_policy=never", "model_providers.mock.request_max_retries=1")
    found = scene.report(frozenset({"config.load"})).checks["config.load"]
    values = found.details["values"]
    assert isinstance(values, list)
    assert {
        "model = scripted-mini (profile fast)",
        "model_provider = mock (config.toml)",
        "approval_policy = never (-c)",
        "sandbox_mode = read-only (default)",
        "model_providers.mock.request_max_retries = 1 (-c)",
        "model_providers.mock.query_params.code = <hidden> (config.toml)",
    } <= set(values)
    assert not any("other" in value for value in values)


@pytest.mark.skipif(find_spec("pip") is None and shutil.which("pip") is None, reason="there is no pip")
def test_the_index_of_pip_is_asked_where_that_is_wanted(scene: Scene) -> None:
    scene.patience = replace(scene.patience, index=50.0)
    with package_index("9.9.9") as (url, asked):
        scene.environment |= {"PIP_INDEX_URL": url, "PIP_CONFIG_FILE": os.devnull}
        context = scene.context()
        assert (asyncio.run(installation.updates(context)).status, asked) == ("ok", [])
        found = asyncio.run(installation.updates(replace(context, online=True)))
    assert (found.status, found.details.get("offered")) == ("warning", "9.9.9"), found
    assert set(asked) == {"/simple/greenroom/"}


@pytest.mark.parametrize(
    ("said", "fault", "status", "says"),
    [
        ("greenroom (9.9.9)\nAvailable versions: 9.9.9\n", "", "warning", "offers 9.9.9"),
        (
            f"greenroom ({__version__})\nAvailable versions: {__version__}\n",
            "",
            "ok",
            "is what the package index offers",
        ),
        ("", "", "warning", "offers no version"),
        ("", "no matching distribution", "warning", "cannot be asked: no matching distribution"),
    ],
)
def test_what_the_package_index_says_is_judged(
    said: str, fault: str, status: str, says: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "_ask_index", lambda _: (said, fault))
    found = asyncio.run(installation.updates(replace(scene.context(), online=True)))
    assert (found.status, says in found.summary) == (status, True), found


def test_a_server_that_is_well_starts_lists_its_tools_and_is_gone(scene: Scene) -> None:
    scene.mcp("one", FAULTY, "plain")
    scene.patience, scene.seconds = replace(scene.patience, mcp=40.0), 50.0
    before = set(processes.tree(os.getpid()))
    found = scene.report(frozenset({"mcp.servers"})).checks["mcp.servers"]
    assert (found.status, str(found.details["one"])[:6]) == ("ok", "1 tool"), found
    assert processes.remaining(set(processes.tree(os.getpid())) - before, 5.0) == []


@pytest.mark.skipif(bool(probe().missing()), reason="commands cannot be confined here")
def test_what_a_confined_command_can_do_is_tried_for_real(scene: Scene) -> None:
    scene.log_in()
    scene.machine = replace(scene.machine, launcher=Launcher.fork)
    scene.patience = replace(scene.patience, sandbox=40.0)
    context = scene.context()

    async def look() -> tuple[Finding, Finding]:
        return await sandbox.helpers(context), await sandbox.rights(context)

    helpers, rights = asyncio.run(look())
    assert (helpers.status, rights.status) == ("ok", "ok"), (helpers, rights)
    assert rights.details == {
        "write into its workspace": "yes",
        "write outside its workspace": "no",
        "write although it is read-only": "no",
        "connect to a TCP port": "no",
        "open the files with credentials": "no",
    }


@pytest.mark.skipif(bool(probe().missing()), reason="commands cannot be confined here")
def test_a_sandbox_that_confines_nothing_is_found_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.log_in()
    scene.machine = replace(scene.machine, launcher=Launcher.fork)
    scene.patience = replace(scene.patience, sandbox=40.0)
    monkeypatch.setattr(confined, "LaunchedStarter", lambda launcher, _: LaunchedStarter(launcher, None))
    found = asyncio.run(sandbox.rights(scene.context()))
    assert found.status == "fail"
    assert list(found.details.values())[:5] == ["yes"] * 5
    assert str(scene.home / "auth.json") in found.details["opened"]
    for words in ("can write outside", "can write although", "can connect", "can open the files with credentials"):
        assert words in found.summary
    assert "Do not let the agent run commands" in (found.remediation or "")

"""A refresh of a refresh token outlives the broker that asked for it, and nothing outlives the server by much."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator

import psutil
import pytest

from greenroom.broker.storage.keyring_entry import SERVICE, Vault
from greenroom.demo.script import Text, rule
from tests.broker.homes import EXPIRED, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, IssuerThread
from tests.broker.keyrings import PLACE, PROGRAM, SHARED, SharedKeyring
from tests.support import processes
from tests.support.client import text
from tests.support.deadline import until
from tests.support.server import Server
from tests.support.stage import Stage
from tests.support.template import SEEDED

LEAVE_WITHIN = 2.0
"""Seconds (promise P6)."""


@pytest.fixture
def gate() -> asyncio.Event:
    """What the issuer's first answer waits for."""
    return asyncio.Event()


@pytest.fixture
def issuer(gate: asyncio.Event) -> Iterator[IssuerThread]:
    with IssuerThread(Deed(gate=gate)) as made:
        yield made
        made.open(gate)


def serve(stage: Stage, issuer: IssuerThread, engine: str, **variables: str) -> Server:
    """Start a server on a home whose token has expired, and return once the issuer has been asked for another."""
    stage.play(rule("hello", [Text("Good day.")]), more="requires_openai_auth = true")
    write(str(stage.home.path), tokens(issuer.issuer.grant(), EXPIRED))
    server = stage.serve(engine, GREENROOM_ISSUER=issuer.issuer.url, **variables)
    issuer.arrived(1)
    return server


def refresh_process(stage: Stage) -> psutil.Process:
    (found,) = processes.named(processes.marked(stage.run), "gr-refresh")
    return found


def assert_refreshed_once(stage: Stage, issuer: IssuerThread) -> None:
    assert issuer.issuer.live == {stored_refresh_token(str(stage.home.path))}
    assert len(issuer.issuer.refreshes) == 1


@pytest.mark.both_engines
def test_a_broker_that_is_killed_under_a_refresh_costs_nothing(
    stage: Stage, engine: str, issuer: IssuerThread, gate: asyncio.Event
) -> None:
    server = serve(stage, issuer, engine)
    call = server.client.codex("hello")
    former = server.broker()
    former.kill()
    until(lambda: [one.pid for one in processes.named(server.tree(), "gr-broker")] not in ([], [former.pid]))
    issuer.open(gate)
    assert text(server.client.result(call)) == "Good day."
    assert_refreshed_once(stage, issuer)
    until(lambda: not processes.named(processes.marked(stage.run), "gr-refresh"))


def test_the_death_of_the_fork_server_as_well_costs_nothing(
    stage: Stage, issuer: IssuerThread, gate: asyncio.Event
) -> None:
    server = serve(stage, issuer, "fork", **SEEDED)
    call = server.client.codex("hello")
    for former in (server.broker(), server.fork_server()):
        former.kill()
        assert not processes.remaining([former], 2.0)
    issuer.open(gate)
    assert text(server.client.result(call)) == "Good day."
    assert_refreshed_once(stage, issuer)


@pytest.mark.both_engines
def test_a_refresh_under_way_is_finished_when_the_server_is_killed(
    stage: Stage, engine: str, issuer: IssuerThread, gate: asyncio.Event
) -> None:
    server = serve(stage, issuer, engine)
    server.process.kill()
    server.wait()
    issuer.open(gate)
    assert not stage.left_over(LEAVE_WITHIN)
    assert_refreshed_once(stage, issuer)


@pytest.mark.both_engines
@pytest.mark.parametrize(
    ("how", "broker"), [("told to leave", "alive"), ("told to leave", "dead"), ("killed", "alive")]
)
def test_nothing_waits_for_an_issuer_when_the_server_ends(
    stage: Stage, engine: str, issuer: IssuerThread, how: str, broker: str
) -> None:
    """P6: the refresh is lost then, and the next server goes slowly with that token."""
    server = serve(stage, issuer, engine)
    if broker == "dead":
        refreshing, former = refresh_process(stage), server.broker()
        former.kill()
        assert not processes.remaining([former], 2.0)
        assert processes.alive(refreshing.pid)
    begun = time.monotonic()
    server.signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
    server.wait()
    assert not stage.left_over(LEAVE_WITHIN - (time.monotonic() - begun))


def test_a_login_in_the_keyring_is_refreshed_there(
    stage: Stage, engine: str, issuer: IssuerThread, gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broker and refresh process, processes of their own, go by the keyring that the server's environment names."""
    issuer.open(gate)
    kept = {"PYTHON_KEYRING_BACKEND": SHARED, PLACE: str(stage.workspace.parent / "vault")}
    for name, value in kept.items():
        monkeypatch.setenv(name, value)
    keyring = SharedKeyring()
    account = Vault(str(stage.home.path)).account
    keyring.set_password(SERVICE, account, json.dumps(tokens(issuer.issuer.grant(), EXPIRED)))
    stage.play(
        rule("hello", [Text("Good day.")]),
        top='cli_auth_credentials_store = "keyring"',
        more="requires_openai_auth = true",
    )
    server = stage.start("--engine", engine, program=PROGRAM, GREENROOM_ISSUER=issuer.issuer.url, **kept)
    server.client.initialize()
    assert text(server.client.result(server.client.codex("hello"))) == "Good day."
    entry = json.loads(keyring.get_password(SERVICE, account) or "")
    assert issuer.issuer.live == {entry["tokens"]["refresh_token"]}
    assert len(issuer.issuer.refreshes) == 1
    assert not (stage.home.path / "auth.json").exists()

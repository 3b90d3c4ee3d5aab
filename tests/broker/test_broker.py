"""The broker's process: admission, permissions, life and end. Real processes, real sockets."""

import asyncio
import ctypes
import os
import socket
import time
from multiprocessing.connection import Connection
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec
import pytest
import zmq
import zmq.asyncio

from greenroom.broker import broker
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.answers import broker_frames
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, AuthProblem, LoginComplete
from greenroom.protocol.internal.broker.questions import GetStatus, Hello, LoginApiKey, Logout, TokenCommand
from greenroom.supervisor.processes.broker_client import BrokerError
from greenroom.workers.model.credentials.channel import CredentialError, CredentialsChannel
from tests.broker.brokers import FORKSERVER, House, key_pair
from tests.broker.homes import EXPIRED, read, stored_refresh_token, tokens, write
from tests.broker.issuer import Deed, MockIssuer, refusal
from tests.broker.login.test_logins import free_port
from tests.broker.stages import Stage, play, stage
from tests.support import processes

pytestmark = pytest.mark.processes


def raw(stage: Stage, public: bytes, secret: bytes) -> Any:
    """Return a socket that speaks for itself."""
    made = zmq.asyncio.Context(stage.context).socket(zmq.DEALER)
    made.linger = 0
    made.curve_serverkey = stage.house.broker_keys.public.encode()
    made.curve_publickey, made.curve_secretkey = public, secret
    made.connect(stage.house.address)
    return made


async def hears(made: Any, seconds: float) -> list[bytes] | None:
    """Return the next message, `None` where none comes."""
    return await made.recv_multipart() if await made.poll(int(seconds * 1000)) else None


async def listening(stage: Stage) -> None:
    """Wait until the broker answers."""
    await stage.link.status()


def test_a_key_that_nobody_vouched_for_gets_nothing(tmp_path: Any) -> None:
    """K1: no answer, while a client with a key is still answered."""

    async def scene(stage: Stage) -> None:
        await listening(stage)
        keys = key_pair()
        stranger = raw(stage, keys.public.encode(), keys.secret.encode())
        await stranger.send_multipart(broker_frames(b"1", GetStatus(include_token=True)))
        plain = zmq.asyncio.Context(stage.context).socket(zmq.DEALER)
        plain.linger = 0
        plain.connect(stage.house.address)
        await plain.send_multipart(broker_frames(b"1", GetStatus(include_token=True)))
        assert await hears(stranger, 0.3) is None
        assert await hears(plain, 0.1) is None
        assert (await stage.link.status()).mode == "chatgpt"
        stranger.close()
        plain.close()

    play(tmp_path, scene)


@pytest.mark.parametrize("question", [GetStatus(include_token=True), Logout(), LoginApiKey(api_key="sk-1"), b"odd"])
def test_a_worker_may_not_do_what_the_supervisor_may(tmp_path: Any, question: Any) -> None:
    """K2: authority belongs to the key; three violations and it is dropped, for this one alone."""

    async def scene(stage: Stage) -> None:
        await stage.channel("good")
        spec = stage.house.worker("bad")
        await stage.link.attach({spec.id: spec.keys.public})
        bad = raw(stage, spec.keys.public.encode(), spec.keys.secret.encode())
        parts = [question, b"1", b""] if isinstance(question, bytes) else broker_frames(b"1", question)
        for _ in range(3):
            await bad.send_multipart(parts)
            answer = await hears(bad, 5)
            assert answer is not None
            assert answer[0] == b"error"
            assert b"forbidden" in answer[2]
        await bad.send_multipart(broker_frames(b"2", Hello(worker_id=spec.id)))
        assert await hears(bad, 0.2) is None
        assert (await stage.channels[0].get_auth()).mode == "chatgpt"
        assert "bad: key dropped" in stage.house.log()
        assert read(stage.home)["tokens"]
        bad.close()

    play(tmp_path, scene)


def test_a_worker_cannot_pass_for_another(tmp_path: Any) -> None:
    """K2: not by its greeting, not by its name."""

    async def scene(stage: Stage) -> None:
        spec = stage.house.worker("mallory")
        await stage.link.attach({spec.id: spec.keys.public})
        liar = CredentialsChannel(stage.context, msgspec.structs.replace(spec, id=WorkerId("alice")))
        stage.channels.append(liar)
        with pytest.raises(CredentialError) as caught:
            await liar.start()
        assert caught.value.error.code == "forbidden"
        with pytest.raises(BrokerError):
            await stage.link.attach({WorkerId("supervisor"): spec.keys.public})

    play(tmp_path, scene)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x81\xa1x", b"\x81\xa9worker_id\x05", b"\x90", b"x" * 300_000])
def test_what_is_no_message_is_answered_as_such(tmp_path: Any, body: bytes) -> None:
    """K3."""

    async def scene(stage: Stage) -> None:
        spec = stage.house.worker("odd")
        await stage.link.attach({spec.id: spec.keys.public})
        odd = raw(stage, spec.keys.public.encode(), spec.keys.secret.encode())
        await odd.send_multipart([b"hello", b"1", body])
        answer = await hears(odd, 5)
        assert answer is not None
        assert answer[:2] == [b"error", b"1"]
        assert b"protocol" in answer[2]
        odd.close()

    play(tmp_path, scene)


def test_a_message_without_bounds_is_not_read(tmp_path: Any) -> None:
    """K3: its sender is disconnected, the rest goes on."""

    async def scene(stage: Stage) -> None:
        spec = stage.house.worker("flood")
        await stage.link.attach({spec.id: spec.keys.public})
        flood = raw(stage, spec.keys.public.encode(), spec.keys.secret.encode())
        await flood.send_multipart([b"hello", b"1", b"x" * 50_000_000])
        assert (await stage.link.status()).mode == "chatgpt"
        assert await hears(flood, 0.1) is None
        flood.close()

    play(tmp_path, scene)


def test_a_worker_that_is_shut_out_gets_no_more(tmp_path: Any) -> None:
    """K1: also over the connection that stands."""

    async def scene(stage: Stage) -> None:
        channel = await stage.channel("w")
        await channel.get_auth()
        stage.link.detach([WorkerId("w")])
        await stage.link.status()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await channel.get_auth()

    play(tmp_path, scene)


def _own_name() -> str:
    with open("/proc/self/comm") as file:
        return file.read().strip()


def _tell_about_yourself(spec: Any, told: Connection) -> None:
    async def serve(*_: object) -> None:
        told.send((ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), _own_name(), os.environ.get("OPENAI_API_KEY")))

    os.environ["OPENAI_API_KEY"] = "sk-left-behind"
    broker._serve = serve  # type: ignore[assignment]
    broker.main(spec, 0)


@pytest.mark.skipif(not os.path.exists("/proc/self/comm"), reason="needs Linux")
def test_others_cannot_look_into_the_process(tmp_path: Any) -> None:
    """K29: undumpable first thing, and the secrets are gone from its environment."""
    made = House(str(tmp_path), str(tmp_path), secrets={"OPENAI_API_KEY": "sk-left-behind"})
    ours, theirs = FORKSERVER.Pipe()
    process = FORKSERVER.Process(target=_tell_about_yourself, args=(made.spec(), theirs))
    process.start()
    assert ours.recv() == (0, "gr-broker", None)
    process.join()


def test_it_ends_with_the_supervisor(tmp_path: Any) -> None:
    """P6: by the lifeline, with a clean exit."""

    async def scene(stage: Stage) -> None:
        await listening(stage)
        assert stage.house.stop() == 0

    play(tmp_path, scene)


def test_it_ends_on_request(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        await listening(stage)
        stage.house.terminate()
        assert await asyncio.to_thread(stage.house.join) == 0

    play(tmp_path, scene)


def test_it_finishes_a_refresh_before_it_ends(tmp_path: Any) -> None:
    """K11: the new tokens are on disk when it is gone."""
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        await stage.issuer.arrived(1)
        stage.house.terminate()
        assert not await asyncio.to_thread(stage.house.is_gone, 0.2)
        gate.set()
        assert await asyncio.to_thread(stage.house.join) == 0
        assert stored_refresh_token(stage.home) in stage.issuer.live

    play(tmp_path, scene, EXPIRED, [Deed(gate=gate)])


def test_fifty_conversations_refresh_once(tmp_path: Any) -> None:
    """K4, scenario 42, over real channels; and fifty 401s at once cause one request more."""

    async def scene(stage: Stage) -> None:
        workers = await stage.workers(50)
        snapshots = await asyncio.gather(*(worker.get_auth() for worker in workers))
        assert len({snapshot.token for snapshot in snapshots}) == 1
        assert len(stage.issuer.refreshes) == 1
        reports = await asyncio.gather(
            *(worker.report_unauthorized(told, 401) for worker, told in zip(workers, snapshots, strict=True))
        )
        assert {report.outcome for report in reports} <= {"refreshed", "newer"}
        assert len({report.snapshot.token for report in reports if report.snapshot}) == 1
        assert len(stage.issuer.refreshes) == 2
        assert stage.issuer.reuses == []

    play(tmp_path, scene, EXPIRED)


def test_a_server_that_refuses_every_token_costs_one_refresh(tmp_path: Any) -> None:
    """Scenario 50: eight workers, each of which follows K20; at most three requests a turn, one refresh in all."""

    async def turn(worker: CredentialsChannel) -> tuple[int, str]:
        told, outcome = await worker.get_auth(), "refreshed"
        for requests in range(1, 10):
            report = await worker.report_unauthorized(told, 401)
            outcome = report.outcome
            if report.snapshot is None:
                return requests, outcome
            told = report.snapshot
        return 10, outcome

    async def scene(stage: Stage) -> None:
        workers = await stage.workers(8)
        turns = await asyncio.gather(*(turn(worker) for worker in workers))
        assert max(requests for requests, _ in turns) <= 3
        assert {outcome for _, outcome in turns} == {"exhausted"}
        assert len(stage.issuer.refreshes) == 1

    play(tmp_path, scene)


def test_two_instances_on_one_home_refresh_once(tmp_path: Any) -> None:
    """K5, scenario 43: two broker processes, both with an expired token, many conversations each."""

    async def scene(first: Stage) -> None:
        async with stage(tmp_path, first.issuer) as second:
            workers = await first.workers(10) + await second.workers(10)
            snapshots = await asyncio.gather(*(worker.get_auth() for worker in workers))
        assert len({snapshot.token for snapshot in snapshots}) == 1
        assert len(first.issuer.refreshes) == 1

    play(tmp_path, scene, EXPIRED)


def test_a_change_elsewhere_reaches_everybody(tmp_path: Any) -> None:
    """K14, K15: without a question, the workers first; and the next question of each sees it at once."""

    async def scene(stage: Stage) -> None:
        workers = [await stage.channel(f"w{n}", listens=True) for n in range(3)]
        await asyncio.gather(*(worker.get_auth() for worker in workers))
        write(stage.home, {"OPENAI_API_KEY": "sk-elsewhere"})
        assert [(await worker.get_auth()).token for worker in workers] == ["sk-elsewhere"] * 3
        told = await stage.heard.get()
        assert isinstance(told, AuthChanged)
        assert (told.mode, told.reason, told.identity_changed) == ("apikey", "external", True)
        assert stage.changes.qsize() == 3
        os.unlink(tmp_path / "auth.json")
        told = await stage.heard.get()
        assert isinstance(told, AuthChanged)
        assert told.mode == "none"

    play(tmp_path, scene)


def test_a_login_of_the_client_s(tmp_path: Any) -> None:
    """Scenarios 11, 16 and 17 over the link: login, key, logout, each in force when it is answered."""
    port = free_port()

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w", listens=True)
        started = await stage.link.login_start()
        query = parse_qs(urlsplit(started.url).query)
        back = f"{query['redirect_uri'][0]}?code=c&state={query['state'][0]}"
        async with aiohttp.ClientSession() as browser, browser.get(back) as page:
            assert page.status == 200
        ending = await stage.heard.get()
        assert ending == LoginComplete(login_id=started.login_id, success=True, mode="chatgpt", plan_type="pro")
        assert (await worker.get_auth()).account_id == "acc-123"
        assert (await stage.changes.get()).reason == "login"

        in_force = await stage.link.login_api_key("sk-typed")
        assert (in_force.mode, (await stage.changes.get()).reason) == ("apikey", "login")
        assert (await worker.get_auth()).token == "sk-typed"
        assert read(stage.home) == {"auth_mode": "apikey", "OPENAI_API_KEY": "sk-typed"}

        in_force = await stage.link.logout()
        assert (in_force.mode, in_force.removed) == ("none", True)
        with pytest.raises(CredentialError, match="Not logged in"):
            await worker.get_auth()
        assert not (await stage.link.logout()).removed

        cancelled = await stage.link.login_start()
        assert not await stage.link.login_cancel("another")
        assert await stage.link.login_cancel(cancelled.login_id)
        ending = await stage.heard.get()
        assert isinstance(ending, LoginComplete)
        assert ending.error == "Login server error: Login was not completed"
        assert stage.heard.empty()

    play(tmp_path, scene, None, spec_fields={"login_ports": (port,)})


def test_a_logout_ends_a_login(tmp_path: Any) -> None:
    """A revocation that fails changes nothing (scenario 38)."""

    async def scene(stage: Stage) -> None:
        started = await stage.link.login_start()
        token = stored_refresh_token(stage.home)
        assert (await stage.link.logout(revoke=True)).removed
        ending = await stage.heard.get()
        assert isinstance(ending, LoginComplete)
        assert (ending.login_id, ending.success) == (started.login_id, False)
        assert [asked["token"] for asked in stage.issuer.revoked] == [token]

    play(tmp_path, scene, spec_fields={"login_ports": (free_port(),)})


def test_errors_of_a_login_are_told(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        stage.issuer.device_status = 503
        with pytest.raises(BrokerError, match="device code request failed with status 503"):
            await stage.link.login_start("device")
        (tmp_path / "auth.json").mkdir()
        with pytest.raises(BrokerError, match="Is a directory"):
            await stage.link.login_api_key("sk-1")
        with pytest.raises(BrokerError) as caught:
            await stage.link.logout()
        assert caught.value.error.code == "storage_failed"

    play(tmp_path, scene, None)


def test_a_status_never_blocks_anybody(tmp_path: Any) -> None:
    """H7: whatever the issuer does."""

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w")
        stage.issuer.deeds.append(Deed(gate=asyncio.Event()))
        slow = asyncio.create_task(stage.link.status(refresh=True))
        await stage.issuer.arrived(1)
        begun = time.monotonic()
        assert (await stage.link.status(include_token=True)).token
        assert (await worker.get_auth()).token
        assert not slow.done()
        await stage.link.login_api_key("sk-1")
        assert (await slow).mode == "apikey", "there is nothing left to wait for"
        assert time.monotonic() - begun < 10.0, "it did not wait for the issuer, which never answers"
        stage.house.kill()

    play(tmp_path, scene)


def test_a_problem_is_told_once(tmp_path: Any) -> None:
    """K26: `auth_problem` to the supervisor, with the text for the user."""

    async def scene(stage: Stage) -> None:
        await listening(stage)
        stage.issuer.deeds.append(refusal(401, "refresh_token_expired"))
        for _ in range(3):
            assert (await stage.link.status(refresh=True)).state == "REAUTH_REQUIRED"
        told = await stage.heard.get()
        assert isinstance(told, AuthProblem)
        assert "has expired" in told.user_text
        assert stage.heard.empty()

    play(tmp_path, scene)


def test_variables_that_others_are_born_without(tmp_path: Any) -> None:
    """K29: only those that were withheld, and only by name."""

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w")
        assert (await worker.get_auth()).token == "sk-env"
        assert await worker.get_environment(["AZURE_KEY", "PATH", "HOME", "MISSING"]) == {"AZURE_KEY": "azure"}

    play(tmp_path, scene, None, secrets={"OPENAI_API_KEY": "sk-env", "AZURE_KEY": "azure"})


def test_a_program_of_the_user_sees_nothing_of_the_broker(tmp_path: Any) -> None:
    """K29, K30: three descriptors, no secrets, none of Greenroom's overrides in its environment."""

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w")
        script = "ls /proc/self/fd | wc -l; env | grep -c -E '^(OPENAI|CODEX|GREENROOM)_'; echo token"
        told = await worker.get_provider_token(TokenCommand(command="/bin/sh", args=("-c", script)))
        assert told.token.split() == ["4", "0", "token"]
        with pytest.raises(CredentialError, match="exited with status 1"):
            await worker.get_provider_token(TokenCommand(command="false"))

    play(tmp_path, scene, None, secrets={"OPENAI_API_KEY": "sk-env"})


def test_no_log_line_holds_a_secret(tmp_path: Any) -> None:
    """Scenario 53: everything that can happen, logged at the lowest level."""
    port = free_port()

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w")
        stage.issuer.deeds += [
            refusal(400, "odd"),
            Deed(body=b'{"access_token": 5}'),
            refusal(401, "refresh_token_reused"),
        ]
        told = await worker.get_auth()
        await worker.report_unauthorized(told, 401)
        await stage.link.status(refresh=True, include_token=True)
        started = await stage.link.login_start()
        query = parse_qs(urlsplit(started.url).query)
        back = f"{query['redirect_uri'][0]}?code=the-code-1234&state={query['state'][0]}"
        async with aiohttp.ClientSession() as browser, browser.get(back):
            pass
        await stage.heard.get()
        await stage.link.login_api_key("sk-typed-in-12345678")
        (tmp_path / "auth.json").write_text('{"OPENAI_API_KEY": ["sk-broken-12345678"]}')
        await stage.link.reload()
        await stage.link.logout()
        secrets = {"the-code-1234", query["state"][0], "sk-typed-in-12345678", "sk-broken-12345678", "sk-environment-1"}
        secrets |= {told.token, *stage.issuer.spent, *stage.issuer.live, "sk-exchanged-key", "eyJ"}
        log = stage.house.log()
        assert "generation" in log
        assert [secret for secret in secrets if secret in log] == []

    play(tmp_path, scene, secrets={"X_KEY": "sk-environment-1"}, spec_fields={"login_ports": (port,)})


def test_the_runtime_directory_is_all_there_is(tmp_path: Any) -> None:
    """K1: nothing listens anywhere else."""

    async def scene(stage: Stage) -> None:
        await listening(stage)
        assert stage.house.process is not None
        assert stage.house.process.pid is not None
        assert processes.listening(processes.tree(stage.house.process.pid)) == set()
        assert sorted(os.listdir(stage.house.directory)) == ["broker", "changes", "log"]

    play(tmp_path, scene)


def test_a_login_page_that_was_cancelled_is_gone(tmp_path: Any) -> None:
    port = free_port()

    async def scene(stage: Stage) -> None:
        started = await stage.link.login_start()
        await stage.link.login_cancel(started.login_id)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    play(tmp_path, scene, spec_fields={"login_ports": (port,)})


def test_the_issuer_may_stand_still_while_tokens_are_served(tmp_path: Any) -> None:
    """K12: a stale token is served at once while its refresh hangs."""

    async def scene(stage: Stage) -> None:
        worker = await stage.channel("w")
        stage.issuer.deeds.append(Deed(gate=asyncio.Event()))
        slow = asyncio.create_task(stage.link.status(refresh=True))
        await stage.issuer.arrived(1)
        for _ in range(20):
            async with asyncio.timeout(1):
                await worker.get_auth()
        slow.cancel()
        stage.house.kill()

    play(tmp_path, scene, 200.0)


def test_tokens_of_the_issuer_are_the_ones_served(tmp_path: Any) -> None:
    async def run() -> None:
        async with MockIssuer() as issuer:
            write(str(tmp_path), tokens(issuer.grant(), EXPIRED))
            async with stage(tmp_path, issuer) as built:
                worker = await built.channel("w")
                snapshot = await worker.get_auth()
                assert snapshot.token == read(str(tmp_path))["tokens"]["access_token"]  # type: ignore[index]
                assert snapshot.plan_type == "pro"

    asyncio.run(run())


def test_an_address_for_nodes_that_is_taken_is_served_as_soon_as_it_is_free(tmp_path: Any) -> None:
    """A broker that is ending may still have it; the clients of this machine do not wait for that."""

    async def scene(stage: Stage) -> None:
        house = stage.house
        await listening(stage)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            house.kill()
            house.spec_fields["address_for_nodes"] = f"tcp://127.0.0.1:{port}"
            house.start()
            await listening(stage)
            while "no access to credentials" not in house.log():
                await asyncio.sleep(0.01)
        while "have access to credentials" not in house.log():
            await asyncio.sleep(0.01)
        worker = house.worker("far")
        await stage.link.attach({worker.id: worker.keys.public})
        channel = CredentialsChannel(
            stage.context, msgspec.structs.replace(worker, broker_address=f"tcp://127.0.0.1:{port}")
        )
        assert (await channel.start()).state == (await stage.link.status()).state
        channel.close()

    play(tmp_path, scene)

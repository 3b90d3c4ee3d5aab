"""The supervisor's line outlives its brokers (docs/security.md, K16, K27)."""

import asyncio
import time
from typing import Any

import pytest

from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, CredentialStanding, LoginComplete
from greenroom.supervisor.processes import broker_client as module
from greenroom.supervisor.processes.broker_client import BrokerError
from tests.broker.homes import EXPIRED, FRESH, tokens, write
from tests.broker.issuer import Deed
from tests.broker.login.test_logins import free_port
from tests.broker.stages import Stage, play
from tests.support.loop import until


def test_a_question_survives_the_broker(tmp_path: Any) -> None:
    """K27: what may be asked twice is asked again, and workers that were attached are known to the next broker."""

    async def scene(stage: Stage) -> None:
        await stage.link.status()
        stage.house.kill()
        asked = asyncio.create_task(stage.link.status(include_token=True))
        spec = stage.house.worker("w")
        attached = asyncio.create_task(stage.link.attach({spec.id: spec.keys.public}))
        stage.link.detach([WorkerId("somebody")])
        await asyncio.sleep(0)
        stage.restart()
        assert (await asked).token
        await attached

    play(tmp_path, scene)


def test_a_question_under_way_survives_the_broker(tmp_path: Any) -> None:
    gate = asyncio.Event()

    async def scene(stage: Stage) -> None:
        asked = asyncio.create_task(stage.link.status(refresh=True, include_token=True))
        await stage.issuer.arrived(1)
        stage.house.kill()
        stage.restart()
        gate.set()
        assert (await asked).state == "FRESH", "what the dead broker had begun is finished"
        assert stage.issuer.reuses == []

    play(tmp_path, scene, EXPIRED, [Deed(gate=gate)])


def test_logins_and_logouts_fail_with_the_broker(tmp_path: Any) -> None:
    """K27: they are not repeated, because the dead broker may have carried them out."""

    async def scene(stage: Stage) -> None:
        started = await stage.link.login_start()
        await stage.link.status()
        stage.house.kill()
        asked = asyncio.create_task(stage.link.logout())
        await asyncio.sleep(0)
        stage.link.broker_died()
        with pytest.raises(BrokerError, match="auth broker terminated"):
            await asked
        with pytest.raises(BrokerError, match="auth broker unavailable"):
            await stage.link.login_start()
        ended = await stage.heard.get()
        assert ended == LoginComplete(
            login_id=started.login_id,
            success=False,
            error="Login server error: auth broker terminated",
            mode="chatgpt",
        )
        stage.restart()
        assert (await stage.link.logout()).removed
        assert stage.heard.empty()

    play(tmp_path, scene, spec_fields={"login_ports": (free_port(),)})


def test_a_status_never_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """K27: without a broker it is the mode that was known last, without a token."""

    async def scene(stage: Stage) -> None:
        assert (await stage.link.status(include_token=True)).token
        monkeypatch.setattr(module, "STATUS_TIMEOUT", 0.1)
        stage.house.kill()
        stage.link.broker_died()
        known = await stage.link.status(include_token=True)
        assert (known.mode, known.token) == ("chatgpt", None)
        stage.link.broker_given_up()
        assert (await stage.link.status()).mode == "chatgpt"
        with pytest.raises(BrokerError, match="auth broker unavailable"):
            await stage.link.attach({})

    play(tmp_path, scene)


def test_broadcasts_follow_the_link_to_the_next_broker(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        await stage.link.status()
        stage.house.kill()
        stage.restart()
        await stage.link.status()
        write(stage.home, {"OPENAI_API_KEY": "sk-1"})
        await stage.link.reload()
        told = await stage.heard.get()
        assert isinstance(told, AuthChanged)
        assert told.mode == "apikey"

    play(tmp_path, scene)


def test_a_change_before_the_first_word_is_told_later(tmp_path: Any) -> None:
    """What happened before the supervisor said anything is not lost."""

    async def scene(stage: Stage) -> None:
        spec = stage.house.worker("w")
        stage.house.kill()
        stage.house.start()
        from greenroom.workers.model.credentials.channel import CredentialsChannel

        channel = CredentialsChannel(stage.context, spec)
        stage.channels.append(channel)
        await channel.start()
        write(stage.home, {"OPENAI_API_KEY": "sk-1"})
        await channel.get_auth()
        await stage.link.status()
        told = await stage.heard.get()
        assert isinstance(told, AuthChanged)

    play(tmp_path, scene)


def test_nothing_is_left_open_when_it_closes(tmp_path: Any) -> None:
    async def scene(stage: Stage) -> None:
        await stage.link.status()
        stage.house.kill()
        asked = asyncio.create_task(stage.link.reload())
        await asyncio.sleep(0)
        stage.link.close()
        with pytest.raises(asyncio.CancelledError):
            await asked

    play(tmp_path, scene)


async def standing(stage: Stage, **expected: object) -> CredentialStanding:
    """Wait until the supervisor knows of this."""
    await until(lambda: {name: getattr(stage.link.standing, name, None) for name in expected} == expected)
    assert stage.link.standing is not None
    return stage.link.standing


def test_the_supervisor_is_told_how_things_stand(tmp_path: Any) -> None:
    """Unasked: at the start of a broker, after every change, and after a refresh that failed."""

    async def scene(stage: Stage) -> None:
        assert stage.link.standing is None
        first = await standing(stage, mode="chatgpt", state="FRESH", plan_type="pro")
        assert first.expires_at is not None
        assert abs(first.expires_at - time.time() - FRESH) < 30
        write(stage.home, {"OPENAI_API_KEY": "sk-1"})
        assert (await standing(stage, mode="apikey", state="API_KEY")).expires_at is None
        await stage.link.logout()
        await standing(stage, mode="none", state="SIGNED_OUT")
        write(stage.home, tokens("unknown", 60))
        await stage.link.status(refresh=True)
        await standing(stage, mode="chatgpt", state="REAUTH_REQUIRED")
        stage.house.kill()
        stage.link.broker_died()
        assert stage.link.standing is not None

    play(tmp_path, scene)


def test_a_mode_that_changed_while_there_was_no_broker_is_told(tmp_path: Any) -> None:
    """K16: by the next one."""

    async def scene(stage: Stage) -> None:
        await standing(stage, mode="chatgpt")
        stage.house.kill()
        write(stage.home, {"OPENAI_API_KEY": "sk-1"})
        stage.restart()
        told = await stage.heard.get()
        assert isinstance(told, AuthChanged)
        assert (told.mode, told.mode_changed) == ("apikey", True)
        stage.house.kill()
        stage.restart()
        await stage.link.status()
        await standing(stage, mode="apikey", generation=2)
        assert stage.heard.empty()

    play(tmp_path, scene)

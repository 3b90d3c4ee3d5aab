"""A worker on a node gets the login and what the settings of the home name, whatever it asks for."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict

from greenroom.broker.node_grants import NodeGrants
from greenroom.config.secrets.named_credentials import named_credentials
from greenroom.protocol.ids import WorkerId
from greenroom.protocol.internal.broker.questions import TokenCommand
from greenroom.workers.model.credentials.channel import CredentialError
from tests.broker.stages import Stage, play

SETTINGS = """
[model_providers.mine]
base_url = "https://mine.example"
env_key = "MINE_KEY"
[model_providers.printed]
base_url = "https://printed.example"
auth = { command = "/bin/sh", args = ["-c", "echo printed"] }
"""
NAMED = TokenCommand(command="/bin/sh", args=("-c", "echo printed"))
SECRETS = {"MINE_KEY": "sk-mine", "OTHER_KEY": "sk-other"}
LOGIN = ("cat", "auth.json")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_worker_on_a_node_gets_what_the_settings_name_and_nothing_else(tmp_path: Path, restarted: bool) -> None:
    """K2: refresh tokens stay at home, though the broker runs programs for workers."""
    (tmp_path / "config.toml").write_text(SETTINGS)
    proof = tmp_path / "started"

    async def scene(stage: Stage) -> None:
        remote = await stage.channel("remote", on_node=True)
        if restarted:
            stage.house.kill()
            stage.restart()
        assert (await remote.get_auth()).mode == "chatgpt"
        assert await remote.get_environment(["MINE_KEY", "OTHER_KEY"]) == {"MINE_KEY": "sk-mine"}
        assert (await remote.get_provider_token(NAMED)).token == "printed"
        for command in (
            TokenCommand(command=LOGIN[0], args=LOGIN[1:]),
            TokenCommand(command="/bin/sh", args=("-c", f"touch {proof}; echo x")),
            TokenCommand(**{**asdict(NAMED), "cwd": "/tmp"}),
        ):
            with pytest.raises(CredentialError, match="do not name this program"):
                await remote.get_provider_token(command)
        assert not proof.exists()
        local = await stage.channel("local")
        assert await local.get_environment(["OTHER_KEY"]) == {"OTHER_KEY": "sk-other"}
        told = await local.get_provider_token(TokenCommand(command=LOGIN[0], args=LOGIN[1:]))
        assert json.loads(told.token)["tokens"]["refresh_token"], "which runs as the user and may read it anyway"

    play(tmp_path, scene, secrets=SECRETS)


def test_the_clock_of_a_node_is_not_ours(tmp_path: Any) -> None:
    """K13: a node whose clock is wrong makes no token look older or younger than it is."""

    async def scene(stage: Stage) -> None:
        remote, local = await stage.channel("remote", on_node=True), await stage.channel("local")
        remote.report_clock(7200.0)
        await remote.get_environment([])
        assert "clock is" not in stage.house.log()
        local.report_clock(7200.0)
        await local.get_environment([])
        assert "clock is +7200 s off" in stage.house.log()

    play(tmp_path, scene)


def test_settings_that_change_count_at_once_and_those_that_cannot_be_read_name_nothing(tmp_path: Path) -> None:
    worker = WorkerId("w")
    grants = NodeGrants(str(tmp_path), (), [worker])
    assert list(grants.variables(worker, ["MINE_KEY"])) == []
    for text, granted in ((SETTINGS, ["MINE_KEY"]), (SETTINGS + "[", []), (SETTINGS, ["MINE_KEY"])):
        fresh = tmp_path / "fresh"
        fresh.write_text(text)
        os.replace(fresh, tmp_path / "config.toml")
        assert list(grants.variables(worker, ["MINE_KEY", "OTHER_KEY"])) == granted
        assert (grants.objection(worker, NAMED) is None) == bool(granted)
    assert named_credentials(str(tmp_path)).commands
    grants.forget(worker)
    assert grants.objection(worker, TokenCommand(command="any")) is None, "which is no worker of a node any more"

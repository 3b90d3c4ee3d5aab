"""A conversation that cannot be opened holds nothing afterwards, and one that is open has all its parts."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from greenroom.config.settings import ConversationOverrides, resolve_settings
from greenroom.config.tables.sandbox import WorkspaceWritePolicy
from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.ids import TurnId
from greenroom.workers.conversation import opening
from greenroom.workers.conversation.model_connection import ModelConnection
from greenroom.workers.conversation.opening import missing_directories
from tests.support.loop import on_loop
from tests.workers.conversation.test_conversation import room


@on_loop
async def test_an_opening_that_fails_late_releases_the_session_file() -> None:
    async with room() as place:
        await place.open()
        await place.turn("hello")
        await place.conversation.close()

        def fail(*_: object) -> None:
            raise ConfigError("no")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(opening, "TurnRunner", fail)
            with pytest.raises(ConfigError, match="no"):
                await place.open(resume="must")
        await place.open(resume="must")
        assert (await place.turn("hello")).kind == "completed"


@on_loop
async def test_a_model_server_that_is_not_there_fails_a_compaction_by_its_kind() -> None:
    async with room() as place:
        await place.open()
        await place.turn("hello")

        async def client(_: ModelConnection) -> None:
            raise StartError("there is no server")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ModelConnection, "client", client)
            outcome = await place.conversation.turns.compact(TurnId("c"))
        assert (outcome.kind, outcome.error_kind) == ("failed", StartError.kind)
        assert outcome.message == "there is no server"
        assert place.mailbox.kinds[-2:] == ["error", "task_complete"]


def test_directories_that_are_missing_are_named(tmp_path: Path) -> None:
    settings = resolve_settings(str(tmp_path), (), ConversationOverrides(), str(tmp_path), {})
    there, gone = str(tmp_path), str(tmp_path / "gone")
    policy = WorkspaceWritePolicy(writable_roots=(there, gone))
    assert list(missing_directories(replace(settings, cwd=there))) == []
    (root,) = missing_directories(replace(settings, cwd=there, sandbox_policy=policy))
    assert root.startswith(f"The writable root {gone} does not exist")
    (directory,) = missing_directories(replace(settings, cwd=gone))
    assert gone in directory

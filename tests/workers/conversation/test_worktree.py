"""A conversation that is opened with a worktree gives signs of life for as long as that is made, and no other does."""

import asyncio
from pathlib import Path

import pytest

from greenroom.config.settings import ConversationOverrides
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.ids import ConversationId, Incarnation, WorkerId
from greenroom.protocol.internal.process import KeyPair, WorkerSpec
from greenroom.protocol.internal.worker.notices import HEARTBEAT
from greenroom.protocol.internal.worker.operations import Open
from greenroom.workers.conversation.worktree import conversation_worktree
from greenroom.workers.worktree.worktree import Worktree
from tests.support.virtual_time import in_virtual_time

OPERATION = Open(
    conversation_id=ConversationId("01a22660-ce5c-76c0-972b-6bef63ab7d5c"),
    incarnation=Incarnation(1),
    resume="no",
    user_agent="promises/1",
)
TAKES = 3.5 * HEARTBEAT


def spec(home: Path) -> WorkerSpec:
    return WorkerSpec(
        id=WorkerId("w-test"),
        keys=KeyPair(public="", secret=""),
        supervisor_pid=1,
        codex_home=str(home),
        runtime_directory=str(home),
        log_level="warning",
        mailbox_address="",
        mailbox_key="",
        events_path="",
        events_ticket=b"",
        broker_address="",
        broker_key="",
    )


@pytest.mark.parametrize("fails", [False, True])
def test_signs_of_life_are_given_while_a_worktree_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    async def restore(self: Worktree) -> None:
        await asyncio.sleep(TAKES)
        if fails:
            raise ConfigError("no room for it")

    async def make(self: Worktree, directory: str) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(Worktree, "restore", restore)
    monkeypatch.setattr(Worktree, "make", make)

    @in_virtual_time
    async def scene() -> None:
        signs: list[float] = []
        loop = asyncio.get_running_loop()
        begun = loop.time()
        overrides = ConversationOverrides(worktree=True, cwd=str(tmp_path))
        making = conversation_worktree(
            OPERATION, spec(tmp_path), [], overrides, lambda: signs.append(loop.time() - begun)
        )
        if fails:
            with pytest.raises(ConfigError, match="no room"):
                await making
        else:
            await making
        await asyncio.sleep(10 * HEARTBEAT)
        assert signs == pytest.approx([HEARTBEAT, 2 * HEARTBEAT, 3 * HEARTBEAT])

    scene()


@in_virtual_time
async def test_a_conversation_without_a_worktree_waits_for_nothing() -> None:
    signs: list[None] = []
    overrides = ConversationOverrides()
    assert (
        await conversation_worktree(OPERATION, spec(Path("/nowhere")), [], overrides, lambda: signs.append(None))
        is None
    )
    await asyncio.sleep(10 * HEARTBEAT)
    assert signs == []

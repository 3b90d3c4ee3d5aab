"""Files that a client reads and changes: in the sandbox, whose rules no link gets around, whenever it is made."""

import asyncio
import os
import threading
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from greenroom.protocol.internal.jobs import FileFault, FileOperation, FileOutcome
from greenroom.workers.job_context import Setting
from greenroom.workers.jobs.file_operation import run

WORKSPACE = {"type": "workspace-write", "exclude_slash_tmp": True, "exclude_tmpdir_env_var": True}
FREE = {"type": "danger-full-access"}
READ_ONLY = {"type": "read-only"}


class Ground:
    """A home with a secret, a workspace, and a place outside of it."""

    def __init__(self, base: Path) -> None:
        self.home, self.workspace, self.outside = base / "home", base / "workspace", base / "outside"
        self.run = base / "run"
        for directory in (self.home, self.workspace, self.outside, self.run):
            directory.mkdir()
        (self.home / "auth.json").write_text('{"OPENAI_API_KEY": "sk-secret"}')
        (self.outside / "kept").write_text("kept")

    async def do(self, operation: str, path: Path, policy: Mapping[str, object], **members: Any) -> FileOutcome:
        wanted = FileOperation(
            operation=operation,  # type: ignore[arg-type]
            path=str(path),
            cwd=str(self.workspace),
            sandbox_policy=dict(policy),
            **{"recursive": True, "force": True, **members},
        )
        done = await run(msgspec.json.encode(wanted), Setting(str(self.home), str(self.run)))
        return msgspec.json.decode(done, type=FileOutcome)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def result(outcome: FileOutcome) -> dict[str, Any]:
    assert isinstance(outcome.result, msgspec.Raw), outcome.fault
    return msgspec.json.decode(outcome.result, type=dict[str, Any])


def fault(outcome: FileOutcome) -> FileFault:
    assert outcome.fault is not None
    return outcome.fault


def test_each_sandbox_lets_a_client_do_what_it_lets_a_command_do(ground: Ground) -> None:
    async def scene() -> None:
        inside, outside = ground.workspace / "new", ground.outside / "new"
        for policy, may_inside, may_outside in (
            (READ_ONLY, False, False),
            (WORKSPACE, True, False),
            (FREE, True, True),
        ):
            for path, may in ((inside, may_inside), (outside, may_outside)):
                outcome = await ground.do("writeFile", path, policy, data=b"x")
                assert (outcome.fault is None) is may, (policy, path)
                assert path.exists() is may
                if not may:
                    assert fault(outcome).text.endswith(f"(in the sandbox `{policy['type']}`)")
                    assert not fault(outcome).is_invalid
                path.unlink(missing_ok=True)
            read = await ground.do("readFile", ground.outside / "kept", policy)
            assert b64decode(result(read)["dataBase64"]) == b"kept"
        for policy in (READ_ONLY, WORKSPACE):
            assert (await ground.do("readFile", ground.home / "auth.json", policy)).fault is not None
        for operation, members in (("remove", {}), ("copy", {"destination": str(ground.outside / "copy")})):
            path = ground.outside / "kept"
            assert (await ground.do(operation, path, WORKSPACE, **members)).fault is not None
        assert os.listdir(ground.outside) == ["kept"]

    asyncio.run(scene())


def test_no_link_leads_out_of_the_sandbox_whenever_it_is_made(ground: Ground) -> None:
    """A thread swaps a directory of the workspace for a link out of it as fast as it can, while files are written."""
    (ground.workspace / "real").mkdir()
    place = ground.workspace / "place"
    place.symlink_to(ground.outside)
    over = threading.Event()

    def swap() -> None:
        other = ground.workspace / "other"
        targets = (ground.workspace / "real", ground.outside)
        at = 0
        while not over.is_set():
            other.symlink_to(targets[at])
            other.rename(place)
            at = 1 - at

    async def scene() -> None:
        outcomes = [await ground.do("writeFile", place / "new", WORKSPACE, data=b"x") for _ in range(8)]
        for _ in range(2):
            await ground.do("remove", place / "kept", WORKSPACE)
        assert all(outcome.fault is None or "sandbox" in outcome.fault.text for outcome in outcomes)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        asyncio.run(scene())
    finally:
        over.set()
        swapper.join()
    assert os.listdir(ground.outside) == ["kept"]


def test_large_files_go_through(ground: Ground) -> None:
    async def scene() -> None:
        data = os.urandom(3 * 1024 * 1024 + 1)
        path = ground.workspace / "large"
        assert (await ground.do("writeFile", path, WORKSPACE, data=data)).fault is None
        assert path.read_bytes() == data
        assert b64decode(result(await ground.do("readFile", path, READ_ONLY))["dataBase64"]) == data

    asyncio.run(scene())

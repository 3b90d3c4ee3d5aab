"""The token of a Ray cluster, with which nodes can be taken over, is hidden from commands."""

from pathlib import Path

import pytest

from greenroom.config.tables.sandbox import ReadOnlyPolicy, WorkspaceWritePolicy
from greenroom.workers.sandbox.policy import Surroundings, confine, own_program
from greenroom.workers.sandbox.ray_token import ray_directory


def test_it_is_where_ray_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ray_directory() == "", "nothing is hidden that is not there"
    (tmp_path / ".ray").mkdir()
    assert ray_directory() == str(tmp_path / ".ray")


@pytest.mark.parametrize("cwd", ["/home/ada/shop", "/home/ada", "/home/ada/.ray", "/"])
def test_it_can_be_read_and_written_by_nothing_confined(cwd: str) -> None:
    here = Surroundings(cwd, "/home/ada/.codex", "/run/user/1/greenroom", ray_directory="/home/ada/.ray")
    for confinement in (confine(WorkspaceWritePolicy(), here), confine(ReadOnlyPolicy(), here), own_program(here)):
        assert confinement is not None
        for name in ("auth_token", "auth_token.tmp", "Auth_Token"):
            assert not confinement.may_read(f"/home/ada/.ray/{name}")
            assert not confinement.may_write(f"/home/ada/.ray/{name}")
        assert confinement.may_read("/home/ada/.ray/other")

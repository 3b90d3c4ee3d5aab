"""The bearer token of a home is made once, and only a secret is taken for one."""

import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from greenroom.protocol.errors import ConfigError
from greenroom.protocol.secret_names import SECRET_NAMES, covers
from greenroom.supervisor.frontend.http.token_file import NAME, http_token, token_path


def test_of_many_that_start_at_once_all_have_the_same_token(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(http_token, [str(tmp_path)] * 64))
    assert len(tokens) == 1
    assert len(tokens.pop()) >= 43
    assert os.listdir(tmp_path) == [NAME]
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_token_that_another_run_makes_meanwhile_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def late(fresh: str, path: str) -> None:
        (tmp_path / "other").write_text("b" * 43)
        (tmp_path / "other").chmod(0o600)
        link(tmp_path / "other", path)
        link(fresh, path)

    monkeypatch.setattr(os, "link", late)
    assert http_token(str(tmp_path)) == "b" * 43


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    http_token(str(tmp_path))
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(ConfigError, match="owned by you"):
        http_token(str(tmp_path))


def test_the_token_of_the_user_is_taken(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text("0123456789abcdefghijklmnopqrstuvwxyz==\n")
    path.chmod(0o600)
    assert http_token(str(tmp_path)) == "0123456789abcdefghijklmnopqrstuvwxyz=="


@pytest.mark.parametrize(
    "content", ["", "short", "a" * 31, "with blank " * 5, "é" * 40, "a" * 5000 + " ", "a" * 40 + "\n" + "b" * 40]
)
def test_what_is_no_token_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    path = tmp_path / NAME
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as refused:
        http_token(str(tmp_path))
    assert len(content) < 5 or content not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620, 0o660, 0o666])
def test_a_file_that_others_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / NAME
    path.write_text("a" * 43)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="mode 0600"):
        http_token(str(tmp_path))


def test_neither_a_link_nor_a_pipe_nor_a_directory_is_read(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("a" * 43)
    other.chmod(0o600)
    path = tmp_path / NAME
    plants: list[Callable[[], None]] = [
        lambda: path.symlink_to(other),
        lambda: os.mkfifo(path, 0o600),
        lambda: path.mkdir(0o700),
    ]
    for plant in plants:
        plant()
        with pytest.raises(ConfigError):
            http_token(str(tmp_path))
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_commands_can_read_neither_it_nor_what_it_is_made_from() -> None:
    assert covers(SECRET_NAMES, NAME)
    assert covers(SECRET_NAMES, os.path.basename(token_path("/home")) + ".0199")

"""Paths of settings and arguments are read as a shell's user expects, and a directory that is none is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.paths import require_directory, resolve_path
from greenroom.protocol.errors import ConfigError

ENVIRONMENT = {"HOME": "/home/ada"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "/base"),
        (".", "/base"),
        ("a/../b", "/base/b"),
        ("/x/./y/", "/x/y"),
        ("~", "/home/ada"),
        ("~/", "/home/ada"),
        ("~/shop", "/home/ada/shop"),
        ("~/../eve", "/home/eve"),
        ("./~", "/base/~"),
        ("~eve", "/base/~eve"),
        ("a/~", "/base/a/~"),
        ("$HOME", "/base/$HOME"),
    ],
)
def test_how_paths_are_read(path: str, expected: str) -> None:
    assert resolve_path("/base", path, ENVIRONMENT) == expected


@given(st.text("/.~a", max_size=8))
def test_a_path_is_always_absolute_and_plain(path: str) -> None:
    found = resolve_path("/base", path, ENVIRONMENT)
    assert found.startswith("/")
    assert not {".", ".."} & set(found.split("/"))


def test_a_directory_that_is_none_is_refused_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    require_directory(str(tmp_path), "cwd")
    for name, fault in {"file": "is not a directory", "missing": "not exist", "dangling": "not exist"}.items():
        with pytest.raises(ConfigError, match=rf"(?s)^invalid value: .*/{name} .*{fault}\nin `cwd`$"):
            require_directory(str(tmp_path / name), "cwd")

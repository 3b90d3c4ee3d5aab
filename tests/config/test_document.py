"""Promises about reading a TOML file: what is broken is named with its place, and never quoted."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.document import read_document
from greenroom.protocol.errors import ConfigError


def _fault(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_document(str(path))
    return str(caught.value)


def test_missing_file_is_an_empty_table(tmp_path: Path) -> None:
    assert read_document(str(tmp_path / "config.toml")) == {}


def test_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('model = "o3"\n[history]\nmax_bytes = 5\n')
    assert read_document(str(path)) == {"model": "o3", "history": {"max_bytes": 5}}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'model = "o3\n', "line 1, column 12"),
        (b"model = 1\nmodel = 2\n", "line 2, column 10"),
        (b"[a]\n\n  x\n", "line 3, column 4"),
        (b"model =", "line 1, column 8"),
        (b'a = 1\nb = "\xc3\xa4\xff"', "line 2, column 7"),
    ],
)
def test_broken_file_is_named_with_line_and_column(tmp_path: Path, content: bytes, place: str) -> None:
    path = tmp_path / "config.toml"
    assert _fault(path, content).startswith(f"failed to parse {path} at {place}: ")


def test_broken_file_is_not_quoted(tmp_path: Path) -> None:
    assert "sk-hidden" not in _fault(tmp_path / "config.toml", b'token = "sk-hidden\n')


def test_chained_error_does_not_carry_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('token = "sk-hidden"\nmodel = ')
    with pytest.raises(ConfigError) as caught:
        read_document(str(path))
    assert caught.value.__suppress_context__


def test_bottomless_nesting_is_an_error_not_a_crash(tmp_path: Path) -> None:
    assert "nested too deeply" in _fault(tmp_path / "config.toml", b"a = " + b"[" * 100_000)


def test_directory_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"failed to read {tmp_path}: Is a directory"):
        read_document(str(tmp_path))


def test_forbidden_file_is_named() -> None:
    with _unprivileged(), tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "config.toml")
        path.touch(mode=0o000)
        with pytest.raises(ConfigError, match=f"failed to read {path}: Permission denied"):
            read_document(str(path))


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Root can read everything, so become another user for a moment."""
    if os.geteuid() != 0:
        yield
        return
    before = os.getcwd()
    os.chdir("/")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.chdir(before)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_table_or_a_config_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("home") / "config.toml"
    path.write_bytes(content)
    try:
        outcome: object = read_document(str(path))
    except ConfigError as error:
        outcome = str(error)
    assert isinstance(outcome, dict) or str(path) in str(outcome)

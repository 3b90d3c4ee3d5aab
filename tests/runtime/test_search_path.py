"""A program that is looked up by its name never comes from a workspace."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.runtime.search_path import absolute_path, with_absolute_path

ENTRIES = st.lists(
    st.sampled_from(["", ".", "bin", "../bin", "/usr/bin", "/bin", "./x", "~/bin", "/w/bin", "/w/../bin"])
)


@given(ENTRIES)
def test_only_absolute_entries_are_left_in_their_order(entries: list[str]) -> None:
    left = absolute_path(os.pathsep.join(entries)).split(os.pathsep)
    assert all(map(os.path.isabs, left))
    wanted = [entry for entry in entries if os.path.isabs(entry)]
    assert left == (wanted or os.defpath.split(os.pathsep))


@pytest.mark.parametrize("path", [None, "", ".", ":", "bin:"])
def test_where_nothing_is_left_it_is_the_systems(path: str | None) -> None:
    assert absolute_path(path) == os.defpath


def test_what_lies_in_a_directory_is_left_out_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "work" / "bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("work")
    entries = [f"{tmp_path}/{name}" for name in ("work", "work/bin", "link/bin", "x/../work/bin", "working", ".")]
    assert absolute_path(os.pathsep.join(entries), [f"{tmp_path}/link"]).split(os.pathsep) == entries[-2:]


def test_an_environment_without_a_path_stays_so() -> None:
    assert with_absolute_path({"A": "1"}) == {"A": "1"}
    assert with_absolute_path({"A": "1", "PATH": ".:/bin"}) == {"A": "1", "PATH": "/bin"}

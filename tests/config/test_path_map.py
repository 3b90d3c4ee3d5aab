"""Directories of the host and of a node lead to each other, by whole names and the longest first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.path_map import PathMap

NAMES = st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=4).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/projects", "/srv/w"),
        ("/projects/x/y", "/srv/w/x/y"),
        ("/projects/special", "/fast"),
        ("/projects/special/x", "/fast/x"),
        ("/projects2", None),
        ("/", None),
        ("/home", None),
    ],
)
def test_where_a_node_has_a_directory(path: str, there: str | None) -> None:
    paths = PathMap({"/projects/": "/srv/w", "/projects/special": "/fast"})
    assert paths.there(path) == there
    if there is not None:
        assert paths.home(there) == path


def test_without_entries_all_paths_are_the_same() -> None:
    assert PathMap({}).there("/anything") == "/anything"
    assert PathMap({}).home("/anything") == "/anything"


def test_a_whole_machine_can_be_mapped() -> None:
    assert PathMap({"/": "/mnt/host"}).there("/projects/x") == "/mnt/host/projects/x"
    assert PathMap({"/": "/mnt/host"}).home("/mnt/host/projects/x") == "/projects/x"
    assert PathMap({"/": "/"}).there("/projects") == "/projects"


@given(NAMES, NAMES, NAMES)
def test_what_leads_there_leads_back(host: str, node: str, below: str) -> None:
    path = host.rstrip("/") + below
    paths = PathMap({host: node})
    there = paths.there(path.rstrip("/") or "/")
    assert there is not None
    assert paths.home(there) == (path.rstrip("/") or "/")

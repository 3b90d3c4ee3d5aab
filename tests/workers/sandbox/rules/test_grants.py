"""Promises of the grants: they cover everything but the holes."""

import os

from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.sandbox.confinement import Confinement, Hidden, is_within
from greenroom.workers.sandbox.rules.grants import except_for, grants
from greenroom.workers.sandbox.rules.landlock import READ, WRITE, PathGrant

NAMES = st.sampled_from(["a", "b", "ab", ".git"])
PLACES = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
HOLES = st.lists(st.builds(Hidden, PLACES, st.lists(st.sampled_from(["a", "b*", "*", ".git"]), min_size=1).map(tuple)))
ALL_NAMES = ["a", "ab", "b", ".git"]


def everything(path: str) -> list[str]:
    """A disk on which every directory holds the same names."""
    return ALL_NAMES


def covered(places: list[str], path: str) -> bool:
    return any(is_within(path, place) for place in places)


@given(HOLES, PLACES, PLACES)
def test_what_lies_in_no_hole_is_covered_and_what_lies_in_one_is_not(holes: list[Hidden], top: str, path: str) -> None:
    places = except_for(holes, top, everything)
    in_hole = any(hole.holds(path) for hole in holes)
    beside_or_above_a_hole = any(is_within(hole.directory, path) for hole in holes)
    assert not (in_hole and covered(places, path))
    if is_within(path, top) and not in_hole and not beside_or_above_a_hole:
        assert covered(places, path)


@given(HOLES, PLACES)
def test_entries_that_appear_later_beside_a_hole_have_no_rights(holes: list[Hidden], top: str) -> None:
    places = except_for(holes, top, everything)
    for hole in holes:
        assert not covered(places, os.path.join(hole.directory, "later"))


def rights_on(found: list[PathGrant], path: str) -> int:
    return sum({int(grant.rights) for grant in found if any(is_within(path, place) for place in grant.paths)})


def test_with_a_view_of_its_own_a_command_has_its_whole_roots() -> None:
    confinement = Confinement(
        ("/w",), ("/w/.git",), (Hidden("/home/c", ("auth.json*",)), Hidden("/w/run")), network=False
    )
    disk = {
        "/": ["w", "home", "dev", "etc"],
        "/dev": ["null"],
        "/home": ["c", "d"],
        "/home/c": ["auth.json", "config.toml"],
    }
    found = grants(confinement, lambda path: disk[path], separate=True)
    read, write = found[1].paths, found[2].paths
    assert set(read) == {"/w", "/etc", "/home/d", "/home/c/config.toml"}
    assert write == ("/w", "/dev/shm")
    assert found[1].rights == READ
    assert found[2].rights == READ | WRITE


def test_without_one_its_roots_come_in_pieces() -> None:
    confinement = Confinement(("/w",), ("/w/.git",), (Hidden("/w/run"),), network=False)
    disk = {"/": ["w", "dev"], "/dev": ["null"], "/w": [".git", "src", "run", "file"], "/w/run": ["socket"]}
    found = grants(confinement, lambda path: disk[path], separate=False)
    assert set(found[2].paths) == {"/w/src", "/w/file"}
    assert not rights_on(found, "/w/run/socket") & WRITE

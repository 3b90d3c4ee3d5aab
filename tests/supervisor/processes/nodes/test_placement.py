"""Where a conversation runs: where it was, else where there is room and its directory, else on the host."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.path_map import PathMap
from greenroom.protocol.ids import HERE, NodeName
from greenroom.supervisor.processes.nodes.placement import Candidate, choose, has_directory
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Wish

A, B = NodeName("a"), NodeName("b")
NEW = Wish(cwd="/projects/x")


def host(busy: int = 0, capacity: int = 4) -> Candidate:
    return Candidate(HERE, capacity, busy)


@pytest.mark.parametrize(
    ("wish", "here", "nodes", "place"),
    [
        (NEW, host(), [], HERE),
        (NEW, host(), [Candidate(A, 4, 0)], HERE),
        (NEW, host(1), [Candidate(A, 4, 0), Candidate(B, 4, 0)], A),
        (NEW, host(1), [Candidate(A, 4, 1), Candidate(B, 8, 1)], B),
        (NEW, host(4), [Candidate(A, 4, 4)], HERE),
        (NEW, host(0, 0), [Candidate(A, 4, 3)], A),
        (NEW, host(1), [Candidate(A, 4, 0, takes_workers=False)], HERE),
        (ON_HOST, host(4), [Candidate(A, 4, 0)], HERE),
        (Wish(last=B, has_run=True), host(), [Candidate(A, 4, 0), Candidate(B, 4, 3)], B),
        (Wish(last=B, has_run=True), host(1), [Candidate(A, 4, 0), Candidate(B, 4, 4)], A),
        (Wish(last=HERE, has_run=True), host(3), [Candidate(A, 4, 0)], HERE),
        (Wish(last=B, has_run=True, lacking=frozenset({B})), host(1), [Candidate(B, 4, 0)], HERE),
    ],
)
def test_the_place_of_a_conversation(wish: Wish, here: Candidate, nodes: list[Candidate], place: NodeName) -> None:
    assert choose(wish, here, nodes, {}) == place


@pytest.mark.parametrize(
    ("cwd", "known", "has"),
    [
        ("/projects/x", None, True),
        (None, None, True),
        ("/projects/x", {"/projects": "/srv"}, True),
        ("/projects2", {"/projects": "/srv"}, False),
        (None, {"/projects": "/srv"}, False),
    ],
)
def test_a_node_with_paths_is_considered_for_what_they_lead_to(
    cwd: str | None, known: dict[str, str] | None, has: bool
) -> None:
    paths = {} if known is None else {A: PathMap(known)}
    assert has_directory(Wish(cwd=cwd), A, paths) is has


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=5),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_no_node_gets_more_than_it_takes(figures: list[tuple[int, int, bool]], busy: int, capacity: int) -> None:
    nodes = [Candidate(NodeName(f"n{index}"), *figure) for index, figure in enumerate(figures)]
    place = choose(NEW, host(busy, capacity), nodes, {})
    found = next((node for node in nodes if node.name == place), None)
    assert found is None or (found.has_room and found.takes_workers)
    if place == HERE and busy >= capacity:
        assert not any(node.has_room for node in nodes), "the host takes what nobody else can"

"""Where a conversation runs: where it was, else where there is room and its directory, else on the host."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.path_map import PathMap
from greenroom.protocol.ids import HERE, NodeName
from greenroom.supervisor.processes.nodes.placement import Candidate, NodeRanking, choose, has_directory
from greenroom.supervisor.processes.nodes.wish import ON_HOST, Wish

A, B = NodeName("a"), NodeName("b")
NEW = Wish(cwd="/projects/x")


def ranking(nodes: Iterable[Candidate]) -> NodeRanking:
    made = NodeRanking()
    for node in nodes:
        made.note(node)
    return made


def no_paths(_: NodeName) -> PathMap | None:
    return None


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
    assert choose(wish, here, ranking(nodes), no_paths) == place


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
    assert has_directory(Wish(cwd=cwd), A, lambda _: None if known is None else PathMap(known)) is has


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans()), max_size=5),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_no_node_gets_more_than_it_takes(figures: list[tuple[int, int, bool]], busy: int, capacity: int) -> None:
    nodes = [Candidate(NodeName(f"n{index}"), *figure) for index, figure in enumerate(figures)]
    place = choose(NEW, host(busy, capacity), ranking(nodes), no_paths)
    found = next((node for node in nodes if node.name == place), None)
    assert found is None or (found.has_room and found.takes_workers)
    if place == HERE and busy >= capacity:
        assert not any(node.has_room for node in nodes), "the host takes what nobody else can"


FIGURES = st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(0, 5), st.booleans())


@given(st.lists(st.tuples(FIGURES, st.booleans())), st.integers(0, 5), st.sets(st.integers(0, 6)))
def test_the_ranking_places_as_a_look_at_every_node_does(
    steps: list[tuple[tuple[int, int, int, bool], bool]], busy: int, without: set[int]
) -> None:
    ranked, known = NodeRanking(), dict[NodeName, Candidate]()
    for (number, capacity, taken, takes), stays in steps:
        name = NodeName(f"n{number}")
        if stays:
            known[name] = Candidate(name, capacity, taken, takes)
            ranked.note(known[name])
        else:
            known.pop(name, None)
            ranked.forget(name)
        assert ranked.get(name) == known.get(name)
    assert {one.name: one for one in ranked.all()} == known
    wish = Wish(cwd="/x", lacking=frozenset(NodeName(f"n{number}") for number in without))
    here = host(busy)
    fit = [one for one in known.values() if one.has_room and one.name not in wish.lacking]
    fit = ([here] if here.has_room else []) + sorted(fit, key=lambda one: one.name)
    expected = max(fit, key=lambda one: one.room).name if fit else HERE
    assert choose(wish, here, ranked, no_paths) == expected


def test_a_node_without_the_resources_is_passed_over() -> None:
    nodes = ranking([Candidate(A, 4, 0), Candidate(B, 4, 3)])
    assert choose(NEW, host(0, 0), nodes, no_paths, lambda name: name == B) == B
    assert choose(Wish(last=A, has_run=True), host(0, 0), nodes, no_paths, lambda name: name == B) == B
    assert choose(NEW, host(0, 0), nodes, no_paths, lambda _: False) == HERE

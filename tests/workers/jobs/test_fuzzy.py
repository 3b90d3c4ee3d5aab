"""A few letters find the paths that they fit, those first that they fit best."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.jobs import search_files
from greenroom.workers.jobs.fuzzy import FuzzyMatch, match, promising
from greenroom.workers.jobs.search_files import ENOUGH, best

LETTERS = "abAB1/_."
PATHS = st.lists(st.text(LETTERS, min_size=1, max_size=12), max_size=400, unique=True)


@pytest.mark.parametrize(
    ("query", "path", "score", "indices"),
    [
        ("abe", "abexy", 88, (0, 1, 2)),
        ("abe", "abcde", 74, (0, 1, 4)),
        ("abe", "sub/abce", 72, (4, 5, 7)),
        ("c", "src/cart.js", 34, (4,)),
        ("c", "my_cart.js", 32, (3,)),
        ("c", "myCart.js", 30, (2,)),
        ("c", "scart.js", 16, (1,)),
        ("src/c", "src/cart.js", 140, (0, 1, 2, 3, 4)),
    ],
)
def test_letters_count_more_at_beginnings_and_together(
    query: str, path: str, score: int, indices: tuple[int, ...]
) -> None:
    found = match([query], path)
    assert found is not None
    assert (found.score, found.indices) == (score, indices)


def test_each_word_is_found_for_itself_and_all_must_be() -> None:
    found = match(["js", "ca"], "src/cart.js")
    assert found is not None
    assert found.indices == (4, 5, 9, 10)
    assert match(["js", "x"], "src/cart.js") is None
    assert match(["tr"], "cart") is None


@given(word=st.text("ab1", min_size=1, max_size=3), path=st.text(LETTERS, min_size=1, max_size=12))
def test_no_path_is_worth_more_than_the_patterns_promise(word: str, path: str) -> None:
    found = match([word], path)
    for pattern, bound in promising(word):
        if pattern.search(path):
            return
        assert found is None or found.score <= bound


@given(query=st.text("ab1/ ", max_size=4), paths=PATHS)
def test_the_search_that_ends_early_finds_what_a_whole_one_does(query: str, paths: list[str]) -> None:
    words = query.split()
    fitting = [(fit, path) for path in paths if words and (fit := match(words, path)) is not None]
    whole = sorted(fitting, key=lambda pair: (-pair[0].score, pair[1]))
    found = asyncio.run(best(query, [path.encode() for path in paths], asyncio.Event()))
    assert [one.path for one in found] == [path for _, path in whole[:ENOUGH]]


def test_a_search_that_is_stopped_has_what_it_found() -> None:
    stopped = asyncio.Event()
    stopped.set()
    names = [b"a%d" % number for number in range(5000)]
    assert 0 < len(asyncio.run(best("a", names, stopped))) <= ENOUGH


def test_a_hundred_thousand_files_are_searched_without_weighing_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [
        f"src/package_{package}/module_{module}_part_{part}.py".encode()
        for package in range(100)
        for module in range(100)
        for part in range(10)
    ]
    weighed = 0

    def counted(words: list[str], path: str) -> FuzzyMatch | None:
        nonlocal weighed
        weighed += 1
        return match(words, path)

    monkeypatch.setattr(search_files, "match", counted)
    found = asyncio.run(best("module_77_part_3", names, asyncio.Event()))
    assert len(found) == ENOUGH
    assert found[0].path.startswith("src/package_0/module_77_part_3.py")
    assert weighed <= len(names) / 10

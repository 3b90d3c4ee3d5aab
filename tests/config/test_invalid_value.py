"""Promises about the search for the value that does not fit: it agrees with `msgspec`, and what it names is there."""

from datetime import date
from typing import Annotated, Any, Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, ValidationError, convert, field

from greenroom.config.invalid_value import Misfit, find_misfit
from greenroom.config.schema import ConfigFile
from greenroom.config.section import OwnSection, Section


class Leaf(OwnSection, frozen=True):
    need: str
    count: Annotated[int, Meta(ge=0, le=9)] = 0
    share: Annotated[float, Meta(gt=0.0)] | None = None


class Pair(Section, frozen=True, tag_field="type", tag="pair"):
    one: bool = False
    other: bool = False

    def __post_init__(self) -> None:
        if self.one and self.other:
            raise ValueError("not both")


class Tree(Section, frozen=True):
    name: Annotated[str, Meta(min_length=1)] | None = None
    word: Literal["a", "b"] = "a"
    switch: bool | Leaf = False
    leaves: dict[str, Leaf] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    below: "Tree | None" = None
    anything: dict[str, object] = field(default_factory=dict)


ANY: Final = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.none(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def mostly(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.integers(0, 19).flatmap(lambda one: ANY if one == 1 else strategy)


def table(**members: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    """Return tables most members of which fit."""
    either = {key: mostly(strategy) for key, strategy in members.items()}
    return st.fixed_dictionaries({}, optional={**either, "more": ANY})


LEAF: Final = table(need=st.text(), count=st.integers(-1, 10), share=st.floats() | st.integers())
PAIR: Final = table(type=st.sampled_from(["pair", "none"]), one=st.booleans(), other=st.booleans())
TREE: Final = st.recursive(
    st.just({}),
    lambda below: table(
        name=st.text(max_size=1),
        word=st.sampled_from("abc"),
        switch=st.booleans() | LEAF,
        leaves=st.dictionaries(st.text(max_size=2), LEAF, max_size=2),
        pairs=st.lists(PAIR, max_size=2),
        below=below,
        anything=st.dictionaries(st.text(), ANY, max_size=1),
    ),
    max_leaves=3,
)


def fits(value: object, kind: object) -> bool:
    try:
        convert(value, kind, strict=True)
    except ValidationError:
        return False
    return True


def at(value: Any, misfit: Misfit) -> object:
    for step in misfit.path:
        value = value[step]
    return value


def assert_agrees(value: object, kind: object) -> None:
    misfit = find_misfit(value, kind)
    assert (misfit is None) is fits(value, kind)
    if misfit is not None:
        assert at(value, misfit) is misfit.given
        assert misfit.forms


@given(TREE | ANY)
def test_a_value_converts_if_and_only_if_there_is_no_misfit(value: object) -> None:
    assert_agrees(value, Tree)


@given(st.dictionaries(st.sampled_from(sorted(ConfigFile.__struct_fields__)), ANY, max_size=4))
def test_it_is_so_with_the_types_of_the_file_too(value: object) -> None:
    assert_agrees(value, ConfigFile)


@pytest.mark.parametrize(
    ("value", "path", "about", "detail"),
    [
        (5, (), "value", ""),
        ({"word": 5}, ("word",), "value", ""),
        ({"below": {"below": {"name": ""}}}, ("below", "below", "name"), "value", ""),
        ({"leaves": {"a": {"need": "x"}, "b": {"need": 1}}}, ("leaves", "b", "need"), "value", ""),
        ({"leaves": {"a": {"count": "x"}}}, ("leaves", "a"), "missing key", "need"),
        ({"leaves": {"a": {"what": 1, "count": "x"}}}, ("leaves", "a"), "unknown key", "what"),
        ({"switch": {"need": "x", "share": 0.0}}, ("switch", "share"), "value", ""),
        ({"switch": []}, ("switch",), "value", ""),
        ({"pairs": [{}, {"type": "single"}]}, ("pairs", 1, "type"), "value", ""),
        ({"pairs": [{"one": True, "other": True}]}, ("pairs", 0), "conflict", "not both"),
        ({"pairs": [{"one": True, "other": 1}]}, ("pairs", 0, "other"), "value", ""),
    ],
)
def test_the_innermost_value_is_named(value: object, path: tuple[object, ...], about: str, detail: str) -> None:
    misfit = find_misfit(value, Tree)
    assert misfit is not None
    assert (misfit.path, misfit.about, misfit.detail) == (path, about, detail)


def test_the_first_field_comes_first_whatever_the_order_of_the_keys() -> None:
    misfit = find_misfit({"word": "z", "name": date(2026, 1, 2)}, Tree)
    assert misfit is not None
    assert misfit.path == ("name",)

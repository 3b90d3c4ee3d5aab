"""Names are accepted by every model server, differ from each other, and depend on nothing but the set of tools."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.workers.mcp.tools.naming import LIMIT, is_server_name, qualify, spellings

servers = st.one_of(st.sampled_from(["a", "a__b", "a_"]), st.from_regex(r"[a-zA-Z0-9_-]{1,70}", fullmatch=True))
tools = st.one_of(st.sampled_from(["b__c", "c", "_c", "c d", "c.d", "c_d"]), st.text(min_size=1, max_size=90))
identities = st.lists(st.tuples(servers, tools), max_size=12)


@given(identities)
def test_names_are_unique_short_and_plain(given_identities: list[tuple[str, str]]) -> None:
    names = qualify(given_identities)
    assert names.keys() == set(given_identities)
    assert len(set(names.values())) == len(names)
    assert list(names.values()) == sorted(names.values())
    assert all(re.fullmatch(rf"[a-zA-Z0-9_-]{{1,{LIMIT}}}", name) for name in names.values())


@given(identities)
def test_the_order_of_the_tools_does_not_matter(given_identities: list[tuple[str, str]]) -> None:
    turned = given_identities[::-1]
    assert list(qualify(turned).items()) == list(qualify(given_identities).items())


def test_a_name_that_needs_no_change_gets_none() -> None:
    assert qualify([("docs", "find-all"), ("docs", "a")]) == {
        ("docs", "a"): "docs__a",
        ("docs", "find-all"): "docs__find-all",
    }


def test_a_long_name_ends_in_the_hash_of_the_whole() -> None:
    tool = "list_every_single_pallet_in_every_single_aisle_of_the_building"
    name = "warehouse__list_every_si33a76da994cfdcc31cc36dde9b568a77850eafa9"
    assert qualify([("warehouse", tool)]) == {("warehouse", tool): name}


def test_of_two_that_want_one_name_only_its_real_owner_keeps_it() -> None:
    names = qualify([("s", "a b"), ("s", "a_b"), ("s", "a.b")])
    assert names["s", "a_b"] == "s__a_b"
    assert names["s", "a b"] == "s__a_b_" + hashlib.sha1(b"s\0a b").hexdigest()[:12]
    names = qualify([("a", "b__c"), ("a__b", "c")])
    assert "a__b__c" not in names.values()


def test_a_tool_that_is_called_like_the_way_out_does_not_get_in_the_way() -> None:
    squatter = "a_b_" + hashlib.sha1(b"s\0a b").hexdigest()[:12]
    names = qualify([("s", "a b"), ("s", "a_b"), ("s", squatter)])
    assert len(set(names.values())) == 3
    assert names["s", squatter] == f"s__{squatter}"


def test_both_generations_of_names_are_understood() -> None:
    assert list(spellings("docs__find", None)) == ["docs__find", "docs__find"]
    assert list(spellings("mcp__docs__find", None)) == ["mcp__docs__find", "docs__find"]
    assert list(spellings("find", "mcp__docs")) == ["docs__find"]


@pytest.mark.parametrize(("name", "fits"), [("a-B_9", True), ("", False), ("a b", False), ("a\n", False), ("é", False)])
def test_server_names(name: str, fits: bool) -> None:
    assert is_server_name(name) is fits

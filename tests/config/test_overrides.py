"""Promises about `-c key=value` and the tool's `config` argument."""

import math
from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.document import Table
from greenroom.config.overrides import Assignment, assign, config_assignments, from_json, parse_assignment
from greenroom.protocol.errors import ConfigError

KEYS = st.text(st.characters(exclude_characters="=.", exclude_categories=["Z", "Cc", "Cs"]), min_size=1, max_size=8)
PATHS = st.lists(KEYS, min_size=1, max_size=4).map(tuple)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@pytest.mark.parametrize(
    ("argument", "path", "value"),
    [
        ("model=o3", ("model",), "o3"),
        ('model="o3"', ("model",), "o3"),
        ("model='o3'", ("model",), "o3"),
        (" model = o3 ", ("model",), "o3"),
        ('model="o3', ("model",), "o3"),
        ("model=", ("model",), ""),
        ("url=http://x/?a=b", ("url",), "http://x/?a=b"),
        ("a.b.c=5", ("a", "b", "c"), 5),
        ("a=-7", ("a",), -7),
        ("a=1.5", ("a",), 1.5),
        ("a=true", ("a",), True),
        ("a=True", ("a",), "True"),
        ('a=["x", "y"]', ("a",), ["x", "y"]),
        ("a={b = 1, c = {d = 2}}", ("a",), {"b": 1, "c": {"d": 2}}),
        ("a=1\nb = 2", ("a",), "1\nb = 2"),
    ],
)
def test_argument_is_a_dotted_key_and_a_toml_value_or_else_a_string(
    argument: str, path: tuple[str, ...], value: object
) -> None:
    assert parse_assignment(argument) == Assignment(path, value)


def test_argument_without_equals_sign_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^Invalid override \(missing '='\): model$"):
        parse_assignment("model")


@pytest.mark.parametrize("argument", ["=o3", "  = o3"])
def test_argument_without_key_is_refused(argument: str) -> None:
    with pytest.raises(ConfigError, match=r"^Empty key in override: "):
        parse_assignment(argument)


def test_hostile_value_is_a_string() -> None:
    assert parse_assignment("a=" + "[" * 100_000).value == "[" * 100_000
    assert parse_assignment("a=" + "9" * 10_000).value == "9" * 10_000


@given(st.text())
def test_any_argument_parses_or_is_a_config_error(argument: str) -> None:
    try:
        path, _ = parse_assignment(argument)
    except ConfigError:
        assert "=" not in argument or not argument.partition("=")[0].strip()
    else:
        assert ".".join(path) == argument.partition("=")[0].strip()


@given(PATHS, st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_scalars_come_back_as_they_were_written(path: tuple[str, ...], value: int | bool) -> None:
    written = f"{'.'.join(path)}={str(value).lower()}"
    assert parse_assignment(written) == Assignment(path, value)


@given(PATHS, st.integers(), st.dictionaries(KEYS, st.integers() | st.dictionaries(KEYS, st.integers())))
def test_assigned_value_is_found_at_its_path(path: tuple[str, ...], value: int, table: Table) -> None:
    assign(table, Assignment(path, value))
    found: object = table
    for key in path:
        assert isinstance(found, dict)
        found = found[key]
    assert found == value


@given(PATHS, st.integers(), st.dictionaries(KEYS, st.integers() | st.dictionaries(KEYS, st.integers())))
def test_assigning_leaves_other_keys_alone_and_doing_it_twice_changes_nothing(
    path: tuple[str, ...], value: int, table: Table
) -> None:
    before = deepcopy(table)
    assign(table, Assignment(path, value))
    assert {key: table[key] for key in before if key != path[0]} == {
        key: before[key] for key in before if key != path[0]
    }
    once = deepcopy(table)
    assign(table, Assignment(path, value))
    assert table == once


def test_value_on_the_way_is_replaced_by_a_table() -> None:
    table: Table = {"history": "none"}
    assign(table, Assignment(("history", "max_bytes"), 5))
    assert table == {"history": {"max_bytes": 5}}


def test_table_is_merged_into_a_table() -> None:
    table: Table = {"sandbox_workspace_write": {"writable_roots": ["/data"], "network_access": False}}
    assign(table, Assignment(("sandbox_workspace_write",), {"network_access": True}))
    assert table == {"sandbox_workspace_write": {"writable_roots": ["/data"], "network_access": True}}


def test_list_is_replaced_not_merged() -> None:
    table: Table = {"notify": ["old"]}
    assign(table, Assignment(("notify",), ["new"]))
    assert table == {"notify": ["new"]}


def test_config_argument_has_dotted_keys_only_at_its_top() -> None:
    assert list(config_assignments({"a.b": {"c.d": 1}})) == [Assignment(("a", "b"), {"c.d": 1})]


def test_null_becomes_the_empty_string_at_any_depth() -> None:
    assert from_json({"a": None, "b": [None]}) == {"a": "", "b": [""]}


@pytest.mark.parametrize("value", [2**63 - 1, -(2**63)])
def test_integer_of_64_bits_stays_one(value: int) -> None:
    assert isinstance(from_json(value), int)


@pytest.mark.parametrize(
    ("value", "expected"), [(2**63, 2.0**63), (-(2**63) - 1, -(2.0**63)), (10**400, math.inf), (-(10**400), -math.inf)]
)
def test_larger_integer_becomes_a_float(value: int, expected: float) -> None:
    converted = from_json(value)
    assert isinstance(converted, float)
    assert converted == expected


@given(JSON)
def test_converted_json_holds_only_what_toml_can(value: object) -> None:
    def fits(converted: object) -> bool:
        match converted:
            case bool() | float() | str():
                return True
            case int():
                return -(2**63) <= converted < 2**63
            case list():
                return all(map(fits, converted))
            case dict():
                return all(map(fits, converted.values()))
            case _:
                return False

    assert fits(from_json(value))


@given(st.dictionaries(st.text(), JSON))
def test_caller_keeps_its_config_unchanged(config: dict[str, object]) -> None:
    before = deepcopy(config)
    table: Table = {}
    for assignment in config_assignments(config):
        assign(table, assignment)
        assign(table, Assignment((assignment.path[0], "added"), 1))
    assert config == before

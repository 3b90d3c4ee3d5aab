"""What is told of wrong arguments, compared with a second description of the same forms, by pydantic."""

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from greenroom.protocol.mcp.arguments import (
    DEEPEST,
    PARSE_PREFIX,
    ArgumentError,
    CodexArguments,
    ReplyArguments,
    parse_codex,
    parse_reply,
)

Arguments: TypeAlias = CodexArguments | ReplyArguments
PARSERS: Final[dict[type[Arguments], Callable[[bytes], Arguments]]] = {
    CodexArguments: parse_codex,
    ReplyArguments: parse_reply,
}
TYPES = {dict: "object", list: "array", str: "string", type(None): "null"}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["never", "read-only", "on-request", "workspace-write"]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3), max_size=2),
)


def twin(form: type[msgspec.Struct]) -> type[BaseModel]:
    """Return the same form as a model."""
    fields: dict[str, Any] = {
        field.encode_name: (field.type, ... if field.required else None) for field in msgspec.structs.fields(form)
    }
    return create_model(form.__name__, __config__=ConfigDict(strict=True), **fields)


TWINS = {form: twin(form) for form in PARSERS}


def told(error: ValidationError) -> str:
    """Return the known words for the first fault that a model has found."""
    fault = error.errors(include_url=False)[0]
    name, value = ".".join(map(str, fault["loc"])), fault["input"]
    match fault["type"]:
        case "missing":
            return f"missing field `{name}`"
        case "literal_error":
            allowed = fault["ctx"]["expected"].replace("'", "`").replace(" or ", ", ")
            return f"unknown variant `{value}`, expected one of {allowed} in `{name}`"
        case _:
            kind = {bool: "boolean", int: "integer", float: "number"}.get(type(value))
            given = TYPES[type(value)] if kind is None else f"{kind} `{value}`"
            return f"invalid type: {given}, {fault['msg'][0].lower()}{fault['msg'][1:]} in `{name}`"


@pytest.mark.parametrize("form", PARSERS)
@given(data=st.data())
def test_the_same_is_accepted_and_the_same_is_told(form: type[Arguments], data: st.DataObject) -> None:
    names = [field.encode_name for field in msgspec.structs.fields(form)]
    members = st.dictionaries(st.sampled_from([*names, "bogus"]), VALUES, max_size=4)
    some, anything = members.map(lambda one: {"prompt": "x", **one}), VALUES.filter(lambda value: value is not None)
    arguments = msgspec.json.encode(data.draw(st.one_of(anything, members, some)))
    try:
        expected = TWINS[form].model_validate_json(arguments)
    except ValidationError as error:
        with pytest.raises(ArgumentError) as caught:
            PARSERS[form](arguments)
        assert str(caught.value) == PARSE_PREFIX + told(error)
    else:
        assert msgspec.to_builtins(PARSERS[form](arguments)) == expected.model_dump()


@given(st.integers(1, 2 * DEEPEST), st.booleans())
def test_nesting_is_bounded(depth: int, lists: bool) -> None:
    opening, closing = (b"[", b"]") if lists else (b'{"a":', b"}")
    arguments = b'{"prompt":"x","config":{"a":%b1%b}}' % (opening * depth, closing * depth)
    if depth + 2 <= DEEPEST:
        assert parse_codex(arguments).config is not None
    else:
        with pytest.raises(ArgumentError, match="recursion limit"):
            parse_codex(arguments)


def test_many_members_beside_each_other_are_not_deep() -> None:
    arguments = b'{"prompt":"x","config":{"a":[%b]}}' % b",".join([b"[{}]"] * DEEPEST)
    assert parse_codex(arguments).config is not None

"""Any message of our own, made up."""

from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
from hypothesis import strategies as st


def instances(model: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Draw instances of a struct whose members are plain types, unions, collections, named tuples or structs."""
    return _built(model, model.__struct_fields__)


def _built(model: type[Any], names: Sequence[str]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(model, include_extras=True)
    return st.builds(model, **{name: _value(hints[name], msgspec.Meta()) for name in names})


def _value(annotation: Any, bounds: msgspec.Meta) -> st.SearchStrategy[Any]:
    if get_origin(annotation) is Annotated:
        inner, bounds = get_args(annotation)
        return _value(inner, bounds)
    if annotation is int:
        return _integers(bounds)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return instances(annotation)
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        return _built(annotation, annotation._fields)
    if get_origin(annotation) in (Union, UnionType):
        members: st.SearchStrategy[Any] = st.one_of([_value(member, bounds) for member in get_args(annotation)])
        return members
    if annotation is str:
        return st.text() if bounds.pattern is None else st.from_regex(bounds.pattern)
    if hasattr(annotation, "__supertype__"):
        return _value(annotation.__supertype__, bounds)
    if get_origin(annotation) is tuple:
        return st.lists(_value(get_args(annotation)[0], msgspec.Meta()), max_size=4).map(tuple)
    if get_origin(annotation) is dict:
        key, value = (_value(argument, msgspec.Meta()) for argument in get_args(annotation))
        return st.dictionaries(key, value, max_size=4)
    return st.from_type(annotation)


def _integers(bounds: msgspec.Meta) -> st.SearchStrategy[int]:
    lower = [bounds.ge, None if bounds.gt is None else bounds.gt + 1, -(2**63)]
    upper = [bounds.le, None if bounds.lt is None else bounds.lt - 1, 2**64 - 1]
    least, most = (next(int(bound) for bound in ends if bound is not None) for ends in (lower, upper))
    return st.integers(least, most)

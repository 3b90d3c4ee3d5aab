"""Finds the value that does not match its type, where `msgspec` only reports that some table has one."""

from collections.abc import Iterator
from types import NoneType, UnionType
from typing import Annotated, Literal, NamedTuple, TypeAlias, TypeGuard, Union, get_args, get_origin

from msgspec import Meta, Struct, ValidationError, convert
from msgspec.structs import fields

Path: TypeAlias = tuple[int | str, ...]
"""Keys and indices, from the outside in."""


class Form(NamedTuple):
    """One of the types that a value may have."""

    kind: object
    bounds: tuple[Meta, ...] = ()


class Misfit(NamedTuple):
    """An innermost value that does not match its type."""

    path: Path
    given: object
    forms: tuple[Form, ...]
    """The types that it could have."""
    about: Literal["value", "unknown key", "missing key", "conflict"] = "value"
    detail: str = ""
    """The unknown or missing key, or the error text if members do not fit together."""

    @property
    def known(self) -> tuple[str, ...]:
        """The permitted keys of the table."""
        table = _table_of(self.forms)
        return () if table is None else table.__struct_encode_fields__


def find_misfit(value: object, kind: object, path: Path = ()) -> Misfit | None:
    """Return the first invalid value, in the order of the fields, or `None` if the value converts to the type.

    Supports the types of settings: scalars, literals of strings, tuples of any length, dictionaries with string keys,
    and tables, of which a union contains at most one.
    """
    try:
        convert(value, kind)
    except ValidationError as error:
        forms = tuple(value_forms(kind))
        misfit = _wrong_key(path, value, forms) or _innermost(path, value, forms)
        return misfit or _as_a_whole(path, value, forms, error)
    return None


def _table_of(forms: tuple[Form, ...]) -> type[Struct] | None:
    return next((form.kind for form in forms if is_table(form.kind)), None)


def is_table(kind: object) -> TypeGuard[type[Struct]]:
    """Tell whether a type is that of a table."""
    return isinstance(kind, type) and issubclass(kind, Struct)


def value_forms(kind: object, bounds: tuple[Meta, ...] = ()) -> Iterator[Form]:
    """Yield the types that a value of a type may have, those of a union one by one."""
    origin = get_origin(kind)
    if origin is Annotated:
        inner, *further = get_args(kind)
        yield from value_forms(inner, tuple(bound for bound in further if isinstance(bound, Meta)))
    elif origin in {Union, UnionType}:
        for inner in get_args(kind):
            yield from value_forms(inner)
    elif kind is not NoneType:  # neither TOML nor the overrides can contain such values
        yield Form(kind, bounds)


def _wrong_key(path: Path, value: object, forms: tuple[Form, ...]) -> Misfit | None:
    table = _table_of(forms)
    if table is None or not isinstance(value, dict):
        return None
    if table.__struct_config__.forbid_unknown_fields:
        unknown = next((key for key in value if key not in table.__struct_encode_fields__), None)
        if unknown is not None:
            return Misfit(path, value, forms, "unknown key", unknown)
    needed = (field.encode_name for field in fields(table) if field.required)
    missing = next((key for key in needed if key not in value), None)
    return None if missing is None else Misfit(path, value, forms, "missing key", missing)


def _innermost(path: Path, value: object, forms: tuple[Form, ...]) -> Misfit | None:
    members = (member for form in forms for member in _members(value, form.kind))
    misfits = (find_misfit(member, kind, (*path, step)) for step, member, kind in members)
    return next(filter(None, misfits), None)


def _as_a_whole(path: Path, value: object, forms: tuple[Form, ...], error: ValidationError) -> Misfit:
    cause = error.__cause__
    return Misfit(path, value, forms) if cause is None else Misfit(path, value, forms, "conflict", str(cause))


def _members(value: object, kind: object) -> Iterator[tuple[int | str, object, object]]:
    """Yield each member of a value that is of this kind, with its key or index and the type that it should have."""
    origin = get_origin(kind)
    if isinstance(value, dict) and is_table(kind):
        tag = kind.__struct_config__.tag_field
        if tag is not None and tag in value:
            yield tag, value[tag], Literal[kind.__struct_config__.tag]
        for field in fields(kind):
            if field.encode_name in value:
                yield field.encode_name, value[field.encode_name], field.type
    elif isinstance(value, dict) and origin is dict:
        for key, member in value.items():
            yield key, member, get_args(kind)[1]
    elif isinstance(value, list | tuple) and origin is tuple:
        for index, member in enumerate(value):
            yield index, member, get_args(kind)[0]

"""Any message of our own, made up."""

from typing import Annotated, Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def instances(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Draw instances of a model whose fields are plain types, unions, collections or models."""
    return st.builds(model, **{field.alias or name: _field(field) for name, field in model.model_fields.items()})


def _field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _bounded(field.annotation, field.metadata)


def _bounded(annotation: Any, metadata: list[Any]) -> st.SearchStrategy[Any]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _bounded(inner, [*metadata, *more, *(item for extra in more for item in getattr(extra, "metadata", []))])
    if annotation is int:
        return _integers(metadata)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return instances(annotation)
    if type(None) in get_args(annotation):
        (inner,) = (member for member in get_args(annotation) if member is not type(None))
        return st.none() | _bounded(inner, metadata)
    if annotation is str:
        return st.text()
    if hasattr(annotation, "__supertype__"):
        return _bounded(annotation.__supertype__, metadata)
    if get_origin(annotation) is tuple:
        return st.lists(_bounded(get_args(annotation)[0], []), max_size=4).map(tuple)
    if get_origin(annotation) is dict:
        key, value = get_args(annotation)
        return st.dictionaries(_bounded(key, []), _bounded(value, []), max_size=4)
    return st.from_type(annotation)


def _integers(metadata: list[Any]) -> st.SearchStrategy[int]:
    lower, upper = [-(2**63)], [2**64 - 1]
    for item in metadata:
        match item:
            case Ge(bound):
                lower.append(int(bound))  # type: ignore[call-overload]
            case Gt(bound):
                lower.append(int(bound) + 1)  # type: ignore[call-overload]
            case Le(bound):
                upper.append(int(bound))  # type: ignore[call-overload]
            case Lt(bound):
                upper.append(int(bound) - 1)  # type: ignore[call-overload]
    return st.integers(max(lower), min(upper))

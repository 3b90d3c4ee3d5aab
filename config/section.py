"""Base of the tables of `config.toml`: strictly typed and immutable; unknown keys are ignored."""

from typing import Annotated, TypeAlias, TypeVar

from msgspec import Meta, ValidationError, convert

from greenroom.config.document import Table
from greenroom.protocol.errors import ConfigError
from greenroom.protocol.guarded_struct import GuardedStruct

S = TypeVar("S", bound="Section")


class Section(GuardedStruct, frozen=True):
    """Base of all tables. Values that are invalid together are rejected with a `ValueError` in `__post_init__`."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        """Return the table with alternative spellings of values normalized to those of the fields."""
        return table


class OwnSection(Section, frozen=True, forbid_unknown_fields=True):
    """Base of Greenroom's own tables, which reject unknown keys."""


Strings: TypeAlias = tuple[str, ...]
Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
Size: TypeAlias = Annotated[int, Meta(ge=1)]


def check(kind: type[S], value: object, within: tuple[str, ...] = ()) -> S:
    """Return the table converted to its type. `within` is its key, one part per level.

    Integers are accepted for floats; there is no other coercion. Raises `ConfigError`.
    """
    plain = kind.plain(value) if isinstance(value, dict) else value
    try:
        return convert(plain, kind)
    except ValidationError:
        from greenroom.config.error_text import explain

        # `from None`: the chained error could contain a value that `explain` withholds.
        raise ConfigError(explain(plain, kind, within)) from None


def plain_tables(table: Table, **kinds: type[Section]) -> Table:
    """Return the table with the named tables below these keys normalized."""
    found = {
        key: {name: kind.plain(inner) if isinstance(inner, dict) else inner for name, inner in tables.items()}
        for key, kind in kinds.items()
        if isinstance(tables := table.get(key), dict)
    }
    return {**table, **found}

"""Structs that may hold secrets, and whose repr does not show them."""

from typing import ClassVar

import msgspec


class GuardedStruct(msgspec.Struct, frozen=True):
    """Base of structs with fields whose values may be secrets."""

    withheld: ClassVar[frozenset[str]] = frozenset()
    """The fields that `repr` leaves out."""

    def __repr__(self) -> str:
        return repr_without(self, self.withheld)


def repr_without(struct: msgspec.Struct, withheld: frozenset[str]) -> str:
    """Return the repr of a struct without these fields."""
    shown = (name for name in struct.__struct_fields__ if name not in withheld)
    return f"{type(struct).__name__}({', '.join(f'{name}={getattr(struct, name)!r}' for name in shown)})"

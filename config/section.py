"""One table of `config.toml`: strictly typed, immutable, deaf to keys that it does not know."""

from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from config.faults import alternatives, explain
from protocol.errors import ConfigError

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """Base of all tables. Validators are built at the first use: the front process needs one table of a dozen."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, defer_build=True)


class OwnSection(Section):
    """Base of the tables that are ours alone: they take no unknown keys."""

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, table: object) -> object:
        unknown = next((key for key in table if key not in cls.model_fields), None) if isinstance(table, dict) else None
        if unknown is not None:
            allowed = alternatives(tuple(cls.model_fields))
            raise PydanticCustomError(
                "unknown_field",
                "unknown field `{unknown}`, expected {allowed}",
                {"unknown": str(unknown), "allowed": allowed},
            )
        return table


# TOML has arrays where we have tuples, so this one type is not strict; its members are.
Strings: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Name: TypeAlias = Annotated[str, Field(min_length=1)]
Count: TypeAlias = Annotated[int, Field(ge=0)]
Size: TypeAlias = Annotated[int, Field(ge=1)]
Retries: TypeAlias = Annotated[Count, AfterValidator(lambda value: min(value, 100))]
"""More than 100 are taken as 100."""


def check(kind: type[S], value: object, within: tuple[str, ...] = ()) -> S:
    """Validate one table; `within` is the key under which it stands, one part per level. Raises `ConfigError`."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        # `from None`: the chained error would print the values that `explain` withholds.
        raise ConfigError(explain(error, within)) from None

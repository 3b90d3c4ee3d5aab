"""One table of `config.toml`: strictly typed, immutable, deaf to keys that it does not know."""

from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from config.faults import explain
from protocol.errors import ConfigError

S = TypeVar("S", bound=BaseModel)


class Section(BaseModel):
    """Base of all tables. Validators are built at the first use: the front process needs one table of a dozen."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, defer_build=True)


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

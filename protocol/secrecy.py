"""A secret that does not show in a repr, a log line, a traceback or a pickle."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, SupportsIndex


class Secret:
    """Wraps a token or key. `reveal()` is the only way to its value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "<redacted>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest  # importing it costs more than the rest of this module

        return compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return id(type(self))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce_ex__(self, protocol: "SupportsIndex") -> "NoReturn":
        raise TypeError("a secret is not pickled")


SECRET_WORDS = ("KEY", "SECRET", "TOKEN")
"""Name parts of variables that are treated as secrets; the reference uses the same three."""
_NO_SECRETS = frozenset({"PYTHON_KEYRING_BACKEND"})
"""Variables with such a part whose values are known not to be secret: this one names a class, and the broker needs
it."""


def is_secret_name(name: str) -> bool:
    """Tell whether an environment variable of this name is treated as a secret."""
    upper = name.upper()
    return upper not in _NO_SECRETS and any(word in upper for word in SECRET_WORDS)

"""Describes an error of a server in one line for people."""

from pydantic import ValidationError


def words(error: BaseException) -> str:
    """Return the description; of an exception group that of the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ValidationError):
        return "it answered with something that is no message of the protocol"
    return str(error) or type(error).__name__

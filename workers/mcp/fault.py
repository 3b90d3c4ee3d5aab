"""What went wrong with a server, in a line for people."""

from pydantic import ValidationError


def error_text(error: BaseException) -> str:
    """Say it; of several things the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ValidationError):
        return "it answered with something that is no message of the protocol"
    return str(error) or type(error).__name__

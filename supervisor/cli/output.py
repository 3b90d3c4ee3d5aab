"""What commands print: results to standard output, what people should know besides to standard error."""

import os
import sys
from types import TracebackType


def complain(text: str) -> None:
    """Print what went wrong, or what is to be noted, to standard error."""
    sys.stderr.write(f"greenroom: {text}\n")


def say(text: str) -> None:
    """Print a line to standard output."""
    sys.stdout.write(f"{text}\n")


def refuse(status: int, text: str) -> int:
    """Complain, and return the exit status."""
    complain(text)
    return status


def conclude(status: int, text: str) -> int:
    """Say how it went, or complain where that is not well, and return the exit status."""
    if status:
        return refuse(status, text)
    say(text)
    return status


class UntilReaderLeaves:
    """End the block without an error where the reader of standard output has closed its pipe.

    What is still in the buffer is dropped, so that the interpreter does not complain at its end.
    """

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        """Write what is in the buffer; return whether the reader has gone."""
        try:
            if kind is None:
                sys.stdout.flush()
        except BrokenPipeError as raised:
            error = raised
        if not isinstance(error, BrokenPipeError):
            return False
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True

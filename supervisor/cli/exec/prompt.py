"""The prompt of a run: an argument, standard input, or the one with the other below it."""

import os
import sys
from typing import Final

from greenroom.protocol.errors import GreenroomError

FROM_INPUT: Final = "-"


class PromptError(GreenroomError):
    """There is no prompt."""


def read_prompt(argument: str | None, *, appends: bool = True) -> str:
    """Return the prompt. Raises `PromptError`.

    Standard input is read where the argument is missing or `-`, and else, unless it is a terminal, appended to the
    argument as context where `appends` is set.
    """
    if argument is not None and argument != FROM_INPUT:
        return _with_context(argument) if appends and not _is_terminal() else argument
    if argument is None:
        if _is_terminal():
            raise PromptError("No prompt provided. Either specify one as an argument or pipe the prompt into stdin.")
        sys.stderr.write("Reading prompt from stdin...\n")
    prompt = _read()
    if not prompt.strip():
        raise PromptError("No prompt provided via stdin.")
    return prompt


def _with_context(argument: str) -> str:
    sys.stderr.write("Reading additional input from stdin...\n")
    context = _read()
    if not context.strip():
        return argument
    end = "" if context.endswith("\n") else "\n"
    return f"{argument}\n\n<stdin>\n{context}{end}</stdin>"


def _is_terminal() -> bool:
    try:
        return os.isatty(0)
    except OSError:
        return True


def _read() -> str:
    try:
        with open(0, "rb", closefd=False) as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PromptError("Failed to read prompt from stdin: it is not valid UTF-8") from None
    except OSError as error:
        raise PromptError(f"Failed to read prompt from stdin: {error.strerror}") from None

"""Reasons why a patch was not applied, as text for the model. These errors do not leave the worker."""

from greenroom.protocol.errors import GreenroomError


class PatchError(GreenroomError):
    """A patch cannot be applied. Unless the text says otherwise, every file is as it was before."""

    @property
    def printed(self) -> str:
        """The text as the patch program of the reference prints it on its standard error."""
        return str(self)


class PatchSyntaxError(PatchError):
    """The text is not in the patch language."""

    def __init__(self, message: str, line: int | None = None) -> None:
        """`line` counts from 1, the line `*** Begin Patch`; `None` if the text as a whole is wrong."""
        super().__init__(f"invalid patch: {message}" if line is None else f"invalid hunk at line {line}, {message}")
        self.message = message
        self.line = line

    @property
    def printed(self) -> str:
        if self.line is None:
            return f"Invalid patch: {self.message}"
        return f"Invalid patch hunk on line {self.line}: {self.message}"


class PatchMismatchError(PatchError):
    """The patch is well-formed, but does not match the files."""


class PatchWriteError(PatchError):
    """The file system or a permission check rejected a change."""


class PatchRollbackError(PatchWriteError):
    """A change was rejected, and earlier ones could not be undone. The text names what remains changed."""

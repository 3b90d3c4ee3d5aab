"""Describes why a file could not be read, for texts that name the file themselves."""


def reason(error: OSError | ValueError) -> str:
    """Return only the cause, without the path and the error number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

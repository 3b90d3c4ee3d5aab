"""Says why a file could not be read, for texts that name the file themselves."""


def reason(error: OSError | ValueError) -> str:
    """Return the cause alone, without the path and the number."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

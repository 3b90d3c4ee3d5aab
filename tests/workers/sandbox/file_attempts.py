"""Ways to change files, and what they leave."""

import os

WAYS_TO_WRITE = (
    "open({path!r}, 'w')",
    "open({path!r}, 'a')",
    "os.open({path!r}, os.O_RDONLY | os.O_TRUNC)",
    "os.truncate({path!r}, 0)",
    "os.unlink({path!r})",
    "os.rename({path!r}, {path!r} + '.new')",
    "os.rename({path!r}, {cwd!r} + '/stolen')",
    "os.link({path!r}, {cwd!r} + '/linked')",
    "os.rename({cwd!r} + '/file', {path!r})",
)


def ways(patterns: tuple[str, ...], **names: str) -> list[str]:
    return [pattern.format(**names) for pattern in patterns]


def listing(directory: str) -> list[tuple[str, int, int]]:
    """What a directory holds, with modes and sizes."""
    found = []
    for parent, directories, files in os.walk(directory):
        for name in (*directories, *files):
            facts = os.lstat(os.path.join(parent, name))
            found.append((os.path.join(parent, name), facts.st_mode, facts.st_size))
    return sorted(found)

"""The files of the page, which come with the program."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final, NamedTuple

TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
"""The media type of a file, by the end of its name."""
INDEX: Final = "index.html"


class Asset(NamedTuple):
    """One file."""

    media_type: str
    content: bytes


def load_assets() -> dict[str, Asset]:
    """Return the files by the path at which they are served."""
    found = {}
    for file in files("greenroom.supervisor.cli.dashboard").joinpath("page").iterdir():
        media_type = TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            found["/" if file.name == INDEX else f"/{file.name}"] = Asset(media_type, file.read_bytes())
    return found

"""The architecture page names files that exist: a reader finds the place of a change from it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.docs.test_generated import DOCS, ROOT

_NAME: Final = re.compile(r"`((?:…/)?[\w./-]+(?:\.(?:py|toml|md)|/))`")
_OF_USERS: Final = frozenset({"config.toml"})


def named(line: str) -> Iterator[tuple[str, list[Path]]]:
    """Yield each file that a line names, and the places in which it may be: a short name is one beside a whole one."""
    names = [name for name in _NAME.findall(line) if name not in _OF_USERS]
    directories = [(ROOT / name).parent if (ROOT / name).is_file() else ROOT / name for name in names if "/" in name]
    for name in names:
        short = name.removeprefix("…/")
        is_whole = "/" in name and short == name
        yield name, [ROOT] if is_whole else [path for path in directories if path.is_dir()]


def test_every_file_that_the_page_names_exists() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    found = [(name, places) for line in page.splitlines() for name, places in named(line)]
    assert len(found) > 100
    assert [
        name for name, places in found if not any((place / name.removeprefix("…/")).exists() for place in places)
    ] == []

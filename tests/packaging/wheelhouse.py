"""A directory of wheels for `--find-links`, made of what is installed beside the tests: an index without a network.

Each distribution that the program needs is packed again from its files, as its RECORD lists them.
"""

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

OMITTED: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files of a `.dist-info` that an installer writes."""


def needed(names: Iterable[str]) -> dict[str, Distribution]:
    """Return the distributions of these names and all that they require here, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        one = found.setdefault(wanted.name, distribution(wanted.name))
        for extra in ("", *wanted.extras):
            if (wanted.name, extra) not in seen:
                seen.add((wanted.name, extra))
                waiting += _required(one, extra)
    return found


def _required(one: Distribution, extra: str) -> Iterator[Requirement]:
    for text in one.requires or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def pack(one: Distribution, target: Path) -> Path:
    """Pack an installed distribution as a wheel."""
    name = one.name.replace("-", "_").replace(".", "_")
    path = target / f"{name}-{one.version}-{_tag(one)}.whl"
    rows = []
    with zipfile.ZipFile(path, "w") as wheel:
        for member, content in _files(one):
            wheel.writestr(member, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append((member, f"sha256={digest}", str(len(content))))
        record = f"{_info(one)}/RECORD"
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([*rows, (record, "", "")])
        wheel.writestr(record, text.getvalue())
    return path


def _files(one: Distribution) -> Iterator[tuple[str, bytes]]:
    info = _info(one)
    for file in one.files or ():
        is_foreign = file.parts[0] in ("..", "/") or "__pycache__" in file.parts
        if is_foreign or (file.parts[0] == info and file.name in OMITTED):
            continue
        yield str(file), Path(str(file.locate())).read_bytes()


def _info(one: Distribution) -> str:
    return next(file.parts[0] for file in one.files or () if file.parts[0].endswith(".dist-info"))


def _tag(one: Distribution) -> str:
    """Return the tags of a wheel's name, which its WHEEL lists one by one."""
    tags = [line.split(": ")[1].split("-") for line in (one.read_text("WHEEL") or "").splitlines() if "Tag: " in line]
    return "-".join(".".join(dict.fromkeys(tag[place] for tag in tags)) for place in range(3))

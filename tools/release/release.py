"""Builds a release from a tag: refuses one that does not fit, builds wheel and sdist, and writes their checksums.

    python tools/release/release.py v0.1.0 dist        # build into a directory that must be empty
    python tools/release/release.py --notes v0.1.0     # print what the changelog says of the release

Ends with 1 and says why where the tag is not that of the version, the changelog has no section for it, the checkout has
changes, or the distributions lack anything.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
CHECKSUMS: Final = "SHA256SUMS"
_VERSION: Final = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


class UnfitError(Exception):
    """What is to be released does not fit."""


def version(root: Path) -> str:
    """Return the version of the source."""
    found = _VERSION.search((root / "protocol" / "version.py").read_text("utf-8"))
    if found is None:
        raise UnfitError("protocol/version.py has no version")
    return found[1]


def notes(root: Path, tag: str) -> str:
    """Return the section of the changelog for a tag. Raises `UnfitError` where there is none."""
    text = (root / "CHANGELOG.md").read_text("utf-8")
    number = re.escape(tag.removeprefix("v"))
    found = re.search(rf"^## \[?{number}\]?(?: [^\n]*)?\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None or not found[1].strip():
        raise UnfitError(f"CHANGELOG.md has no section for {tag}")
    return found[1].strip() + "\n"


def check(root: Path, tag: str, changes: str) -> None:
    """Raise `UnfitError` where a checkout is not what the tag says. `changes` are those of `git status`."""
    if tag != f"v{version(root)}":
        raise UnfitError(f"the tag {tag} is not v{version(root)}, the version of the source")
    notes(root, tag)
    if changes:
        raise UnfitError(f"the checkout has changes:\n{changes}")


def problems(wheel: Path, sdist: Path, number: str) -> Iterator[str]:
    """Yield what distributions lack that a release has to have."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for wanted in ("greenroom/py.typed", "greenroom/commit", f"greenroom-{number}.dist-info/licenses/LICENSE"):
        if wanted not in names:
            yield f"{wheel.name} has no {wanted}"
    if not any(name.endswith("/share/man/man1/greenroom.1") for name in names):
        yield f"{wheel.name} has no manual page"
    with tarfile.open(sdist) as archive:
        packed = archive.getnames()
    for wanted in ("pyproject.toml", "LICENSE", "CHANGELOG.md", "src/greenroom/commit", "tests/conftest.py"):
        if f"greenroom-{number}/{wanted}" not in packed:
            yield f"{sdist.name} has no {wanted}"


def checksums(files: Sequence[Path]) -> str:
    """Return the checksums of files in the form of sha256sum(1)."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(files))


def build(root: Path, target: Path) -> tuple[Path, Path]:
    """Build wheel and sdist into an empty directory, with the time of the commit in them."""
    target.mkdir(parents=True, exist_ok=True)
    if any(target.iterdir()):
        raise UnfitError(f"{target} is not empty")
    made = _git(root, "log", "-1", "--format=%ct")
    command = (sys.executable, "-m", "hatchling", "build", "--directory", str(target.resolve()))
    for kind in ("sdist", "wheel"):
        subprocess.run(
            (*command, "--target", kind), cwd=root, env={**os.environ, "SOURCE_DATE_EPOCH": made}, check=True
        )
    (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
    return wheel, sdist


def _git(root: Path, *words: str) -> str:
    return subprocess.run(("git", *words), cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def main(arguments: Sequence[str]) -> int:
    """Do what the command line says."""
    try:
        if arguments[:1] == ["--notes"]:
            sys.stdout.write(notes(ROOT, arguments[1]))
            return 0
        tag, target = arguments
        check(ROOT, tag, _git(ROOT, "status", "--porcelain"))
        wheel, sdist = build(ROOT, Path(target))
        if lacking := list(problems(wheel, sdist, version(ROOT))):
            raise UnfitError("\n".join(lacking))
        (Path(target) / CHECKSUMS).write_text(checksums((wheel, sdist)), "utf-8")
    except UnfitError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

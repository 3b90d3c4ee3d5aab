"""No module imports itself, however indirectly: imports inside functions and under `TYPE_CHECKING` count as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest


def imports(package: str) -> dict[str, set[str]]:
    """Return the modules that each module of a package imports, of those in the package."""
    graph = grimp.build_graph(package, exclude_type_checking_imports=False, cache_dir=None)
    return {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


def circle(package: str) -> list[str] | None:
    """Return the modules of a circle of imports, the first one also as the last; `None` where there is none."""
    try:
        TopologicalSorter(imports(package)).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return None


def test_there_are_no_circles_of_imports() -> None:
    assert len(imports("greenroom")) > 300, "the modules of the program are looked at"
    assert circle("greenroom") is None


@contextmanager
def package(directory: Path, name: str, **modules: str) -> Iterator[str]:
    folder = directory / name
    folder.mkdir()
    (folder / "__init__.py").touch()
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(directory)
        yield name


@pytest.mark.parametrize(
    "back",
    [
        "import circular.a",
        "from circular import a",
        "def f():\n    from circular.a import A",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circular.a import A",
    ],
)
def test_a_circle_is_found_however_it_is_written(tmp_path: Path, back: str) -> None:
    with package(tmp_path, "circular", a="from circular import b", b="from circular import c", c=back) as name:
        assert {*(circle(name) or ())} == {"circular.a", "circular.b", "circular.c"}


def test_a_tree_of_imports_is_no_circle(tmp_path: Path) -> None:
    with package(tmp_path, "straight", a="from straight import b, c", b="from straight import c", c="") as name:
        assert circle(name) is None

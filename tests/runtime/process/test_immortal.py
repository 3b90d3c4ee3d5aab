"""Objects that are made immortal work as before, and a forked process uses them without copying their pages."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from benchmarks.interpreters import VERSIONS, interpreters

MODULE: Final = str(Path(__file__).parents[3] / "runtime" / "process" / "immortal.py")
SUPPORTED: Final = tuple(version for version in VERSIONS if version >= (3, 12))
LOAD: Final = f"""
import gc, sys, types
immortal = types.ModuleType("immortal")
exec(compile(open({MODULE!r}).read(), "immortal.py", "exec"), immortal.__dict__)
def make():
    work = immortal.Immortalizer()
    while work.has_work:
        work.work(0.001)
    return work.made
"""
WORK_AS_BEFORE: Final = """
import asyncio, threading, weakref
from fractions import Fraction
class Before:
    registry = {}
    def add(self, name, value=(1, "two", 3.0)):
        self.registry[name] = value
        return len(self.registry)
kept, table, text = Before(), {"list": [1, 2]}, "text of its own"
def counter():
    count = 0
    def step():
        nonlocal count
        count += 1
        return count
    return step
step = counter()
assert make() > 1000
assert not immortal.Immortalizer().made

for held in (kept, table, text, Before, Before.add, Before.add.__code__.co_consts, step, immortal):
    assert sys.getrefcount(held) == 0xFFFFFFFF, held
kept.add("a"); kept.add("b"); kept.other = []
table["list"].append(3); table["new"] = object(); del table["list"][0]
assert (kept.registry.keys(), table["list"]) == ({"a", "b"}, [2, 3])
assert [step(), step()] == [1, 2]
text += "!"
assert text == "text of its own!" and {text: 1}["text of its own!"] == 1
class After(Before):
    pass
gone = []
new = After(); new.itself = new
weakref.finalize(new, gone.append, "collected")
del new
gc.collect()
assert gone == ["collected"]
other = After()
weakref.finalize(other, gone.append, "counted")
del other
assert gone == ["collected", "counted"]
assert asyncio.run(asyncio.wait_for(asyncio.sleep(0, "done"), 5)) == "done"
thread = threading.Thread(target=kept.add, args=("c",)); thread.start(); thread.join()
assert "c" in Before.registry and Fraction(1, 3) + Fraction(2, 3) == 1
try:
    raise KeyError("new")
except LookupError as error:
    assert error.args == ("new",)
import json.tool, sqlite3
exec("def late(a, *, b=2): return a + b", globals())
assert late(1) == 3
"""
SHARED: Final = """
import os
texts = [f"text number {number}" for number in range(200_000)]
def used_by_child():
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        held = [text for text in texts if text]
        with open("/proc/self/smaps_rollup") as rollup:
            dirty = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_Dirty"))
        os.write(writer, str(dirty).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return int(os.read(reader, 100))
before = used_by_child()
make()
after = used_by_child()
assert before > 10_000, before
assert after < before / 2 - 3_000, (before, after)
"""
UNCHANGED: Final = """
kept = object()
count = sys.getrefcount(kept)
assert not immortal.is_supported() and make() == 0 and sys.getrefcount(kept) == count
"""


def run(version: tuple[int, int], program: str) -> None:
    """Run a program after `LOAD` on an interpreter of the version, which has to end without an error."""
    path = interpreters().get(version)
    if path is None:
        pytest.skip("no Python {}.{} was found on this machine".format(*version))
    ran = subprocess.run([path, "-I", "-c", LOAD + program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("version", SUPPORTED)
def test_immortal_objects_work_as_before(version: tuple[int, int]) -> None:
    run(version, WORK_AS_BEFORE)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc/self/smaps_rollup")
@pytest.mark.parametrize("version", SUPPORTED)
def test_a_forked_process_uses_them_without_copying_their_pages(version: tuple[int, int]) -> None:
    run(version, SHARED)


@pytest.mark.parametrize(
    "change", ["sys.version_info = (3, 99, 0)", "sys.gettotalrefcount = None", "sys.byteorder = 'big'"]
)
@pytest.mark.parametrize("version", SUPPORTED)
def test_an_interpreter_with_another_layout_is_left_alone(version: tuple[int, int], change: str) -> None:
    run(version, change + UNCHANGED)


def test_an_interpreter_without_immortal_objects_is_left_alone() -> None:
    run((3, 11), UNCHANGED)

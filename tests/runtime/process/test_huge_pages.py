"""Memory of a process is put into huge pages where the system has them, and keeps its content."""

import ctypes
import errno
import mmap
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.runtime.process import huge_pages

PROGRAM = """
import mmap
from greenroom.runtime.process import huge_pages
size = huge_pages.huge_page_size()
memory = mmap.mmap(-1, 4 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
filled = bytes(range(1, 256)) * (len(memory) // 255)
memory[: len(filled)] = filled
steps = sum(1 for _ in huge_pages.collapse())
assert memory[: len(filled)] == filled
print(steps, sum(int(line.split()[1]) for line in open("/proc/self/smaps") if line.startswith("AnonHugePages")))
"""


def has_collapse() -> bool:
    if not sys.platform.startswith("linux") or huge_pages.huge_page_size() is None:
        return False
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return release is not None and (int(release[1]), int(release[2])) >= (6, 1)


@pytest.mark.skipif(not has_collapse(), reason="this system has no huge pages that can be asked for")
def test_memory_is_put_into_huge_pages_and_keeps_its_content() -> None:
    told = subprocess.run([sys.executable, "-I", "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    steps, kilobytes = map(int, told.split())
    size = huge_pages.huge_page_size()
    assert size is not None
    assert steps >= 3, "so many fit into the memory that the program has made for that, wherever it begins"
    assert kilobytes * 1024 >= 3 * size


def test_where_the_kernel_does_not_know_of_it_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    class OldLibrary:
        @staticmethod
        def madvise(address: object, size: object, advice: int) -> int:
            tried.append(advice)
            ctypes.set_errno(errno.EINVAL)
            return -1

    monkeypatch.setattr(huge_pages, "_libc", OldLibrary())
    monkeypatch.setattr(huge_pages, "huge_page_size", lambda: mmap.PAGESIZE)
    assert list(huge_pages.collapse()) == []
    assert len(tried) == 1


@pytest.mark.parametrize("content", [None, "", "none\n", "4096\n", f"{512 * 1024 * 1024}\n"])
def test_without_huge_pages_of_a_useful_size_nothing_is_tried(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "size"
    if content is not None:
        file.write_text(content)
    monkeypatch.setattr(huge_pages, "_SIZE_FILE", str(file))
    monkeypatch.setattr(huge_pages, "_MAPS", str(tmp_path / "not read"))
    assert huge_pages.huge_page_size() is None
    assert list(huge_pages.collapse()) == []

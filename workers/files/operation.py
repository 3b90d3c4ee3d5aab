"""The program that carries out one operation on files: within the sandbox, so that the kernel judges every path.

It is started as a script, with nothing but the standard library: a line of JSON on standard input and after it the data
to be written; a line of JSON on standard output and after it the data that was read. Links are followed as the system
does; which place a path leads to, and whether that may be touched, is decided at the moment of the touch.
"""

import json
import os
import stat
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, Final, TypeAlias

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of a file that is read."""
PIECE: Final = 1024 * 1024

OperationResult: TypeAlias = dict[str, Any]


class InvalidError(Exception):
    """The operation does not fit what it is asked of."""


def read_file(request: Mapping[str, Any], output: BinaryIO) -> None:
    """Write a regular file's content behind the result."""
    descriptor = os.open(request["path"], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidError("not a regular file")
        content = bytearray()
        while piece := file.read(PIECE):
            content += piece
            if len(content) > LARGEST:
                raise InvalidError(f"larger than {LARGEST >> 20} MiB")
    answer({}, output)
    output.write(content)


def write_file(request: Mapping[str, Any], data: BinaryIO) -> OperationResult:
    """Give a regular file, which need not exist, this content."""
    descriptor = os.open(request["path"], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
    with open(descriptor, "wb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidError("not a regular file")
        file.truncate(0)
        while piece := data.read(PIECE):
            _write_all(descriptor, piece)
    return {}


def create_directory(request: Mapping[str, Any]) -> OperationResult:
    """Create a directory, with those above it where `recursive` is set."""
    if request["recursive"]:
        os.makedirs(request["path"], exist_ok=True)
    else:
        os.mkdir(request["path"])
    return {}


def metadata(request: Mapping[str, Any]) -> OperationResult:
    """Return what kind of thing a path is, and its times in milliseconds; 0 where the system has none."""
    own = os.lstat(request["path"])
    found = _target(request["path"], own)
    times = own if found is None else found
    return {
        "isDirectory": found is not None and stat.S_ISDIR(found.st_mode),
        "isFile": found is not None and stat.S_ISREG(found.st_mode),
        "isSymlink": stat.S_ISLNK(own.st_mode),
        "createdAtMs": int(getattr(times, "st_birthtime", 0) * 1000),
        "modifiedAtMs": times.st_mtime_ns // 1_000_000,
    }


def read_directory(request: Mapping[str, Any]) -> OperationResult:
    """Return the entries of a directory by name. What is no Unicode in a name is replaced."""
    with os.scandir(request["path"]) as entries:
        found = [
            {
                "fileName": os.fsencode(entry.name).decode(errors="replace"),
                "isDirectory": _holds(entry.is_dir),
                "isFile": _holds(entry.is_file),
            }
            for entry in entries
        ]
    return {"entries": sorted(found, key=lambda entry: str(entry["fileName"]))}


def remove(request: Mapping[str, Any]) -> OperationResult:
    """Remove a file, a link or a directory. A missing one is no error where `force` is set."""
    path = request["path"]
    try:
        is_directory = stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        if request["force"]:
            return {}
        raise
    if not is_directory:
        os.unlink(path)
    elif request["recursive"]:
        import shutil  # takes a while to load

        shutil.rmtree(path)  # follows no links, whatever happens meanwhile
    else:
        os.rmdir(path)
    return {}


def copy(request: Mapping[str, Any]) -> OperationResult:
    """Copy a file, a link, or where `recursive` is set a directory with all that is in it."""
    source, destination = request["path"], request["destination"]
    kind = stat.S_IFMT(os.lstat(source).st_mode)
    if kind == stat.S_IFDIR:
        if not request["recursive"]:
            raise InvalidError("a directory, and `recursive` is not set")
        within, place = os.path.realpath(source), os.path.realpath(destination)
        if place == within or place.startswith(within.rstrip("/") + "/"):
            raise InvalidError("a directory cannot be copied into itself")
        _copy_tree(source, destination)
    elif not _copy_one(source, destination, kind):
        raise InvalidError("neither a file nor a directory nor a link")
    return {}


def _copy_tree(source: str, destination: str) -> None:
    """Copy a directory; devices, pipes and sockets in it are left out."""
    os.makedirs(destination, exist_ok=True)
    for name in sorted(os.listdir(source)):
        here, there = os.path.join(source, name), os.path.join(destination, name)
        kind = stat.S_IFMT(os.lstat(here).st_mode)
        if kind == stat.S_IFDIR:
            _copy_tree(here, there)
        else:
            _copy_one(here, there, kind)


def _copy_one(source: str, destination: str, kind: int) -> bool:
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(source), destination)
    elif kind == stat.S_IFREG:
        _copy_file(source, destination)
    else:
        return False
    return True


def _copy_file(source: str, destination: str) -> None:
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    with open(reading, "rb", buffering=0) as file:
        found = os.fstat(reading)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        writing = os.open(destination, flags, stat.S_IMODE(found.st_mode) & 0o777)
        with open(writing, "wb", buffering=0) as copied:
            there = os.fstat(writing)
            if not stat.S_ISREG(there.st_mode):
                raise InvalidError("the destination is not a regular file")
            if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
                raise InvalidError("a file cannot be copied to itself")
            copied.truncate(0)
            while piece := file.read(PIECE):
                _write_all(writing, piece)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _target(path: str, own: os.stat_result) -> os.stat_result | None:
    """Return what a path leads to; `None` for a link to nothing."""
    if not stat.S_ISLNK(own.st_mode):
        return own
    try:
        return os.stat(path)
    except OSError:
        return None


def _holds(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link in a circle
        return False


OPERATIONS: Final[Mapping[str, Callable[[Mapping[str, Any]], OperationResult]]] = {
    "createDirectory": create_directory,
    "getMetadata": metadata,
    "readDirectory": read_directory,
    "remove": remove,
    "copy": copy,
}
"""Those without data."""


def answer(result: OperationResult, output: BinaryIO) -> None:
    """Write the line of the answer."""
    output.write(json.dumps(result).encode() + b"\n")


def main(source: BinaryIO, output: BinaryIO) -> None:
    """Carry out the operation that `source` names, and write its outcome."""
    request = json.loads(source.readline())
    name = request["operation"]
    try:
        if name == "readFile":
            read_file(request, output)
        else:
            answer(write_file(request, source) if name == "writeFile" else OPERATIONS[name](request), output)
    except OSError as error:
        answer({"error": {"number": error.errno, "text": error.strerror or str(error)}}, output)
    except InvalidError as error:
        answer({"error": {"number": None, "text": str(error)}}, output)
    except ValueError as error:  # a path that no system call takes
        answer({"error": {"number": None, "text": str(error)}}, output)
    except RecursionError:
        answer({"error": {"number": None, "text": "too deep"}}, output)


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)

"""Session files in either form: plain, or packed with Zstandard as Codex does with those that were idle for long.

`X.jsonl` is packed as `X.jsonl.zst`. Where both are there, the plain one counts: it is the one that is written to, and
either program removes one form only after the other is complete. A packed file is unpacked as a stream, so that memory
stays bounded whatever it holds; one that grows beyond all reason is refused as a bomb. One that was cut off is read as
far as it goes, as a plain file with a torn last line is.
"""

import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from greenroom.config.reader import Reader
from greenroom.protocol.errors import SessionFileError
from greenroom.sessions.storage.directory import sync

if TYPE_CHECKING:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdDecompressor
    else:
        from backports.zstd import ZstdDecompressor

SUFFIX: Final = ".zst"
FREE: Final = 64 * 1024 * 1024
"""Bytes that any packed file may unpack to."""
MAX_RATIO: Final = 200
"""Beyond `FREE`, how many times its own size a packed file may unpack to; conversations reach 5 to 30."""
MAX_UNPACKED: Final = 4 * 1024 * 1024 * 1024
"""Bytes that no packed file may exceed."""
MAX_WINDOW_LOG: Final = 27
"""Binary logarithm of the largest window, in bytes: the most that `zstd` itself unpacks unless told otherwise."""
_BLOCK: Final = 128 * 1024
_DAMAGED: Final = ".damaged"
"""Ends the name under which a packed file is kept that could be unpacked in part only."""


def plain_path(path: str) -> str:
    """Return where the plain form of a file is, or would be."""
    return path.removesuffix(SUFFIX)


def present_path(path: str) -> str:
    """Return the path of the form that is there, given that of either; the plain one where both are, or none."""
    plain = plain_path(path)
    return plain + SUFFIX if not os.path.lexists(plain) and os.path.lexists(plain + SUFFIX) else plain


def forms(path: str) -> list[str]:
    """Return the paths of all forms of a file that are there."""
    plain = plain_path(path)
    return [form for form in (plain, plain + SUFFIX) if os.path.lexists(form)]


def open_session(reader: Reader, path: str) -> BinaryIO:
    """Open a file for reading from its beginning, in whichever form it is there.

    Raises `OSError`; reading raises that or `SessionFileError`. Seeking is not supported.
    """
    try:
        found = present_path(path)
        file = reader.open(found)
    except FileNotFoundError:  # it was packed or unpacked just now
        found = present_path(path)
        file = reader.open(found)
    if not found.endswith(SUFFIX):
        return file
    try:
        return cast("BinaryIO", io.BufferedReader(_Unpacking(file), _BLOCK))
    except BaseException:
        file.close()
        raise


def unpack_file(reader: Reader, path: str, unfinished: str) -> None:
    """Replace the packed form by the plain one; the caller holds the lock of the writer.

    The plain file appears complete and durable under its name, or not at all; only then the packed one is removed.
    Where it could be unpacked in part only, it is kept under another name. `unfinished` is a path in the same directory
    that is not used elsewhere. Raises `OSError` or `SessionFileError`.
    """
    plain, directory = plain_path(path), os.path.dirname(path)
    with suppress(FileNotFoundError):
        os.unlink(unfinished)
    descriptor = reader.descriptor(path, follow=False)
    with os.fdopen(descriptor, "rb") as packed, io.BufferedReader(source := _Unpacking(packed), _BLOCK) as content:
        facts = os.fstat(packed.fileno())
        try:
            if not _write(_blocks(cast("BinaryIO", content)), unfinished):
                raise SessionFileError("it is empty")
            os.utime(unfinished, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            os.rename(unfinished, plain)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
    sync(directory)
    if source.cut_off:
        os.rename(path, path + _DAMAGED)
    else:
        os.unlink(path)
    sync(directory)


def pack_file(reader: Reader, path: str, unfinished: str) -> int:
    """Replace the plain form by the packed one, and return how many bytes that saves.

    The caller holds the lock of the writer. The packed file appears under its name once it is complete, durable and has
    been read back, or not at all; only then the plain one is removed. `unfinished` is a path in the same directory that
    nobody else uses. Raises `OSError`, or `SessionFileError` where the packed form could not be read again.
    """
    directory = os.path.dirname(path)
    with suppress(FileNotFoundError):
        os.unlink(unfinished)
    with os.fdopen(reader.descriptor(path, follow=False), "rb") as plain:
        facts = os.fstat(plain.fileno())
        if not facts.st_size:
            raise SessionFileError("it is empty")
        try:
            size = _write(_packed(plain), unfinished)
            if not _reads_back(reader, unfinished, plain):
                raise SessionFileError("its packed form does not read back")
            _check_unchanged(plain, facts)
            os.utime(unfinished, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            os.rename(unfinished, path + SUFFIX)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(unfinished)
            raise
        sync(directory)
        try:
            _check_unchanged(plain, facts)  # it may have taken long until the packed form was durable
        except SessionFileError:
            os.unlink(path + SUFFIX)
            raise
        os.unlink(path)
    sync(directory)
    return facts.st_size - size


def _check_unchanged(plain: BinaryIO, before: os.stat_result) -> None:
    now = os.fstat(plain.fileno())
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise SessionFileError("a program that takes no lock has written to it meanwhile")


def _blocks(source: BinaryIO) -> Iterator[bytes]:
    while block := source.read(_BLOCK):
        yield block


def _packed(plain: BinaryIO) -> Iterator[bytes]:
    """Yield the packed form of a file, in one frame with a checksum."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    packing = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
    for block in _blocks(plain):
        yield packing.compress(block)
    yield packing.flush()


def _reads_back(reader: Reader, path: str, plain: BinaryIO) -> bool:
    """Tell whether a packed file has the content of a plain one, by reading it as every reader does."""
    plain.seek(0)
    with io.BufferedReader(source := _Unpacking(reader.open(path)), _BLOCK) as content:
        for block in _blocks(cast("BinaryIO", content)):
            if plain.read(len(block)) != block:
                return False
    return not source.cut_off and not plain.read(1)


def _write(blocks: Iterable[bytes], path: str) -> int:
    """Write a new file durably and return its size."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as target:
        target.writelines(blocks)
        target.flush()
        os.fsync(descriptor)
        return target.tell()


class _Unpacking(io.RawIOBase):
    """The content of a packed file as a stream."""

    def __init__(self, packed: BinaryIO) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        self.cut_off = False
        """Whether the file has ended before its content did."""
        self._zstd: Final = zstd
        self._packed = packed
        self._allowed = min(MAX_UNPACKED, max(FREE, MAX_RATIO * os.fstat(packed.fileno()).st_size))
        self._given = 0
        self._frame = self._next_frame()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast("bytearray", buffer))
        try:
            block = self._unpacked(min(len(view), _BLOCK))
        except self._zstd.ZstdError:
            raise SessionFileError("it is packed, and damaged") from None
        self._given += len(block)
        if self._given > self._allowed:
            raise SessionFileError(f"it is packed, and unpacks to more than {self._allowed} bytes")
        view[: len(block)] = block
        return len(block)

    def close(self) -> None:
        if not self.closed:
            self._packed.close()
        super().close()

    def _next_frame(self) -> "ZstdDecompressor":
        return self._zstd.ZstdDecompressor(options={self._zstd.DecompressionParameter.window_log_max: MAX_WINDOW_LOG})

    def _unpacked(self, size: int) -> bytes:
        """Return the next bytes, at most `size`; none at the end. Raises `ZstdError`."""
        while not self.cut_off:
            if self._frame.eof:
                data = self._frame.unused_data or self._packed.read(_BLOCK)
                if not data:
                    break
                self._frame = self._next_frame()
            else:
                data = self._packed.read(_BLOCK) if self._frame.needs_input else b""
                self.cut_off = self._frame.needs_input and not data
            if block := self._frame.decompress(data, size):
                return block
        return b""

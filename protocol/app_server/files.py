"""Params and results of the methods about files, and what a client is told of files that it watches."""

from typing import ClassVar

from greenroom.protocol.app_server.wire import Params, Result, ServerNotification


class FsPathParams(Params, frozen=True):
    """Params of `fs/readFile`, `fs/getMetadata` and `fs/readDirectory`."""

    path: str


class FsReadFileResponse(Result, frozen=True):
    """Result of `fs/readFile`."""

    data_base64: str


class FsWriteFileParams(Params, frozen=True):
    """Params of `fs/writeFile`."""

    path: str
    data_base64: str


class FsCreateDirectoryParams(Params, frozen=True):
    """Params of `fs/createDirectory`."""

    path: str
    recursive: bool | None = None
    """`None`: true."""


class FsGetMetadataResponse(Result, frozen=True):
    """Result of `fs/getMetadata`. Times are milliseconds since the epoch, 0 where the system has none."""

    is_directory: bool
    is_file: bool
    is_symlink: bool
    created_at_ms: int
    modified_at_ms: int


class FsReadDirectoryEntry(Result, frozen=True):
    """An entry of a directory; a link is what it leads to."""

    file_name: str
    is_directory: bool
    is_file: bool


class FsReadDirectoryResponse(Result, frozen=True):
    """Result of `fs/readDirectory`."""

    entries: list[FsReadDirectoryEntry]


class FsRemoveParams(Params, frozen=True):
    """Params of `fs/remove`. Members that are `None` are true."""

    path: str
    recursive: bool | None = None
    force: bool | None = None


class FsCopyParams(Params, frozen=True):
    """Params of `fs/copy`."""

    source_path: str
    destination_path: str
    recursive: bool = False


class FsWatchParams(Params, frozen=True):
    """Params of `fs/watch`."""

    path: str
    watch_id: str


class FsWatchResponse(Result, frozen=True):
    """Result of `fs/watch`."""

    path: str
    """Without links."""


class FsUnwatchParams(Params, frozen=True):
    """Params of `fs/unwatch`."""

    watch_id: str


class FsChanged(ServerNotification, frozen=True):
    """Something has changed in what a client watches: told at most five times a second."""

    method: ClassVar[str] = "fs/changed"

    watch_id: str
    changed_paths: list[str]

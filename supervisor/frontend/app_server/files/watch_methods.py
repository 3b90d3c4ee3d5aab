"""The methods by which a client watches files, and the notifications that follow.

Reading is allowed everywhere in every sandbox, and names are all that is told: the server itself watches.
"""

import asyncio
import os
from collections.abc import Mapping
from typing import Final

from greenroom.protocol.app_server import files as wire
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST, Request, encode
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.app_server.files.file_request import require_absolute
from greenroom.supervisor.frontend.app_server.files.inotify import Inotify
from greenroom.supervisor.frontend.app_server.files.watch_list import Watched, WatchList
from greenroom.supervisor.frontend.request_params import RefusedError, decode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer

SECONDS: Final = 0.2
"""How long changes are collected before the client is told of them."""
MOST: Final = 256
"""Watches of one client."""


class WatchMethods:
    """These methods on one connection. `close` it."""

    def __init__(self, channel: AppServerChannel) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._list = WatchList()
        self._inotify: Inotify | None = None
        self._due: asyncio.TimerHandle | None = None
        self._changing = asyncio.Lock()
        self.methods: Mapping[str, AnswerMethod] = {"fs/watch": self._watch, "fs/unwatch": self._unwatch}

    async def _watch(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.FsWatchParams)
        path = require_absolute(params.path, request.method)
        async with self._changing:
            if params.watch_id in self._list:
                raise RefusedError(INVALID_REQUEST, f"there is a watch {params.watch_id!r} already")
            if len(self._list) >= MOST:
                raise RefusedError(INVALID_REQUEST, f"there are {MOST} watches already")
            try:
                inotify = self._present()
                watched = await asyncio.to_thread(_begin, inotify, params.watch_id, path)
            except OSError as error:
                raise RefusedError(INTERNAL_ERROR, f"{path}: {error.strerror or error}") from None
            self._list.add(watched)
        return RequestAnswer(encode(wire.FsWatchResponse(path=watched.path)))

    async def _unwatch(self, request: Request) -> RequestAnswer:
        params = decode(request, wire.FsUnwatchParams)
        async with self._changing:
            number = self._list.remove(params.watch_id)
            if number is not None and self._inotify is not None:
                self._inotify.remove(number)
        return RequestAnswer()

    def close(self) -> None:
        """Watch nothing any more."""
        if self._due is not None:
            self._due.cancel()
        if self._inotify is not None:
            self._loop.remove_reader(self._inotify.descriptor)
            self._inotify.close()
            self._inotify = None

    def _present(self) -> Inotify:
        if self._inotify is None:
            self._inotify = inotify = Inotify()
            self._loop.add_reader(inotify.descriptor, self._take, inotify)
        return self._inotify

    def _take(self, inotify: Inotify) -> None:
        if self._list.take(inotify.read()) and self._due is None:
            self._due = self._loop.call_later(SECONDS, self._tell)

    def _tell(self) -> None:
        """Tell the client what has changed; one that does not read is told later, of everything at once."""
        self._due = None
        if not self._channel.is_reading:
            self._due = self._loop.call_later(SECONDS, self._tell)
            return
        for watch_id, paths in self._list.told().items():
            self._channel.tell(wire.FsChanged(watch_id=watch_id, changed_paths=paths))


def _begin(inotify: Inotify, watch_id: str, path: str) -> Watched:
    """Watch a path. Raises `OSError` where neither it nor the directory that it would be in exists."""
    place = os.path.realpath(path)
    if os.path.isdir(place):
        return Watched(watch_id, place, inotify.add(place))
    directory, name = os.path.split(place)
    return Watched(watch_id, place, inotify.add(directory), name)

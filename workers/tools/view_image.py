"""The tool `view_image`: shows the model an image of the workspace.

Files with credentials cannot be read, as by commands in the sandbox.
"""

import asyncio
import errno
import os
from typing import Final

import msgspec

from greenroom.protocol.events.tool import ViewImageToolCall
from greenroom.protocol.items import JsonObject
from greenroom.workers.model.image import ImageError, data_url
from greenroom.workers.patch.disk import Disk
from greenroom.workers.tools.arguments import parse_arguments
from greenroom.workers.tools.context import ToolContext, ToolOutput, emit
from greenroom.workers.tools.types import ToolFailure

_NO_FILE: Final = frozenset({errno.EISDIR, errno.EINVAL})


class ViewArguments(msgspec.Struct, frozen=True):
    """The model's arguments. Unknown members are ignored."""

    path: str


async def view_image(call_id: str, arguments: str, context: ToolContext) -> ToolOutput:
    """Handle one call. Raises `ToolFailure` if there is no image."""
    path = os.path.normpath(os.path.join(context.cwd, parse_arguments(arguments, ViewArguments).path))
    url = await asyncio.to_thread(_read, path, context)
    await emit(context, ViewImageToolCall(call_id=call_id, path=path))
    image: JsonObject = {"type": "input_image", "image_url": url}
    return ToolOutput(f"(the image {path})", success=True, items=(image,))


def _read(path: str, context: ToolContext) -> str:
    try:
        data = Disk(context.reader).read(path)
        if data is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return data_url(data)
    except ImageError as error:
        raise ToolFailure(f"unable to process image: {error}") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in _NO_FILE:
            raise ToolFailure(f"image path `{path}` is not a file") from error
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ToolFailure(f"unable to locate image at `{path}`: {reason}") from error

"""The search for file names, in the form of this protocol: each match tells its name and what it is."""

import os
from collections.abc import Callable

import msgspec

from greenroom.protocol.app_server.wire import Result
from greenroom.protocol.jsonrpc import Request, encode
from greenroom.supervisor.frontend.request_queue import AnswerMethod, RequestAnswer


class _Match(msgspec.Struct, frozen=True):
    root: str
    path: str
    score: int
    indices: list[int] | None = None


class _Matches(msgspec.Struct, frozen=True):
    files: list[_Match]


class FoundFile(Result, frozen=True, rename=None):
    """One match; only files are found."""

    root: str
    path: str
    file_name: str
    match_type: str
    score: int
    indices: list[int] | None = None
    """Places in the path that match, in characters."""


class _Roots(msgspec.Struct, frozen=True):
    roots: list[str]


def placed(request: Request, directory: Callable[[str], str | None]) -> Request:
    """Return a search whose relative roots are in the directory of its client, as `directory` tells."""
    try:
        roots = msgspec.json.decode(request.params or b"", type=_Roots).roots
        params = msgspec.json.decode(request.params or b"", type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return request  # refused by the search
    found = encode([directory(root) or root for root in roots])
    return msgspec.structs.replace(request, params=encode({**params, "roots": msgspec.Raw(found)}))


def described_search(search: AnswerMethod, directory: Callable[[str], str | None]) -> AnswerMethod:
    """Return a search whose matches are described, from the one of the conversation API; `directory` as in `placed`."""

    async def answer(request: Request) -> RequestAnswer:
        found = msgspec.json.decode((await search(placed(request, directory))).result, type=_Matches)
        files = [
            FoundFile(
                root=match.root,
                path=match.path,
                file_name=os.path.basename(match.path),
                match_type="file",
                score=match.score,
                indices=match.indices,
            )
            for match in found.files
        ]
        return RequestAnswer(encode({"files": files}))

    return answer

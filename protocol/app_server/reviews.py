"""Params and results of reviews."""

from greenroom.protocol.app_server.thread import Turn
from greenroom.protocol.app_server.wire import Params, Result, ThreadParams


class ReviewTarget(Params, frozen=True):
    """What is to be reviewed."""

    type: str
    """`uncommittedChanges`, `baseBranch` with `branch`, `commit` with `sha`, or `custom` with `instructions`."""
    branch: str | None = None
    sha: str | None = None
    title: str | None = None
    instructions: str | None = None


class ReviewStartParams(ThreadParams, frozen=True):
    """Params of `review/start`."""

    target: ReviewTarget
    delivery: str | None = None


class ReviewStartResponse(Result, frozen=True):
    """Result of `review/start`, at once."""

    review_thread_id: str
    turn: Turn

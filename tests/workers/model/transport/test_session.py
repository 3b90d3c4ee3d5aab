"""The session that is made before it is needed."""

import gc
import warnings

from greenroom.workers.model.transport.session import SpareSession
from tests.support.loop import on_loop


@on_loop
async def test_a_prepared_session_is_taken_once() -> None:
    spare = SpareSession()
    spare.prepare()
    first, second = spare.take(), spare.take()
    assert first is not second
    await spare.close()
    assert not first.closed, "it belongs to who took it"
    await first.close()
    await second.close()


@on_loop
async def test_a_session_can_be_had_that_was_not_prepared() -> None:
    session = SpareSession().take()
    assert not session.closed
    await session.close()


@on_loop
async def test_a_session_that_nobody_took_is_closed() -> None:
    spare = SpareSession()
    spare.prepare()
    await spare.close()
    with warnings.catch_warnings(record=True) as told:  # aiohttp warns of a session that was left open
        warnings.simplefilter("always")
        del spare
        gc.collect()
    assert told == []

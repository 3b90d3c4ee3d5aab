"""A death at any step of a refresh leaves a store that can be read, and the newest pair in it (K28).

The death of the broker alone costs nothing at all. Where everything dies at once, the one loss that nobody can prevent
is that of a token whose refresh was answered and not yet written.
"""

import asyncio
import signal
from typing import Any

import pytest

from greenroom.broker.credential.record import AuthRecord
from greenroom.protocol.internal.broker.answers import AuthError, BearerSnapshot
from tests.broker.brokers import FORKSERVER
from tests.broker.deaths import ALONE, LOST, TOGETHER, refresh_until
from tests.broker.homes import EXPIRED, Parts, stored_refresh_token, tokens, write
from tests.broker.issuer import MockIssuer

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("step", TOGETHER)
def test_a_death_of_all_at_any_step(tmp_path: Any, step: str) -> None:
    """Scenario 44: and the successor goes on with what is there, without a token that is spent where it can."""
    home = str(tmp_path)

    async def run() -> None:
        async with MockIssuer() as issuer:
            first = issuer.grant()
            write(home, tokens(first, EXPIRED))
            process = FORKSERVER.Process(target=refresh_until, args=(step, home, issuer.url))
            process.start()
            await asyncio.to_thread(process.join)
            assert process.exitcode == -signal.SIGKILL
            left = AuthRecord.read((tmp_path / "auth.json").read_bytes())
            assert left.tokens is not None
            (live,) = issuer.live
            assert (left.tokens.refresh_token == live) is (step not in LOST)
            successor = Parts(home, issuer)
            await successor.manager.reload()
            successor.clock.ahead += 3.0  # a token that may be spent is left alone for two seconds
            answer = await successor.get()
            assert issuer.reuses == ([first] if step in LOST else [])
            if step in LOST:
                assert isinstance(answer, AuthError)
                assert answer.code == "reauth_required"
            else:
                assert isinstance(answer, BearerSnapshot)
                assert stored_refresh_token(home) in issuer.live
            assert len(issuer.refreshes) == (2 if step in LOST else 1)

    asyncio.run(run())


@pytest.mark.parametrize("step", ALONE)
def test_a_death_of_the_broker_at_any_step_costs_nothing(tmp_path: Any, step: str) -> None:
    """Scenario 44: the token is refreshed once, and the next broker has what it brought."""
    home = str(tmp_path)

    async def run() -> None:
        reader, writer = FORKSERVER.Pipe(duplex=False)
        async with MockIssuer() as issuer:
            write(home, tokens(issuer.grant(), EXPIRED))
            process = FORKSERVER.Process(target=refresh_until, args=(step, home, issuer.url, reader))
            process.start()
            await asyncio.to_thread(process.join)
            assert process.exitcode == -signal.SIGKILL
            successor = Parts(home, issuer)
            await successor.manager.reload()
            successor.clock.ahead += 3.0  # the journal of one that died before it could send anything
            assert isinstance(await successor.get(deadline=20.0), BearerSnapshot)
            assert len(issuer.refreshes) == 1
            assert issuer.live == {stored_refresh_token(home)}
        for end in (reader, writer):
            end.close()

    asyncio.run(run())

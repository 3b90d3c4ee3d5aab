"""A broker that is killed at any step of a redemption leaves a store that can be read, and the newest pair in it (K28).

The one loss that nobody can prevent is that of a token whose redemption was answered and not yet written.
"""

import asyncio
import signal
from typing import Any

import pytest

from protocol.credentials import AuthError, Snapshot
from supervisor.auth.record import AuthRecord
from tests.supervisor.auth.brokers import FORKSERVER
from tests.supervisor.auth.deaths import LOST, STEPS, redeem_until
from tests.supervisor.auth.homes import EXPIRED, Parts, stored_refresh_token, tokens, write
from tests.supervisor.auth.issuer import MockIssuer


@pytest.mark.parametrize("step", STEPS)
def test_a_death_at_any_step(tmp_path: Any, step: str) -> None:
    """Scenario 44: and the successor goes on with what is there, without a token that is spent where it can."""
    home = str(tmp_path)

    async def run() -> None:
        async with MockIssuer() as issuer:
            first = issuer.grant()
            write(home, tokens(first, EXPIRED))
            process = FORKSERVER.Process(target=redeem_until, args=(step, home, issuer.url))
            process.start()
            await asyncio.to_thread(process.join)
            assert process.exitcode == -signal.SIGKILL
            left = AuthRecord.read((tmp_path / "auth.json").read_bytes())
            assert left.tokens is not None
            (live,) = issuer.live
            assert (left.tokens.refresh_token == live) is (step not in LOST)
            successor = Parts(home, issuer)
            await successor.custody.reload()
            successor.clock.ahead += 3.0  # a token that may be spent is left alone for two seconds
            answer = await successor.get()
            assert issuer.reuses == ([first] if step in LOST else [])
            if step in LOST:
                assert isinstance(answer, AuthError)
                assert answer.code == "reauth_required"
            else:
                assert isinstance(answer, Snapshot)
                assert stored_refresh_token(home) in issuer.live
            assert len(issuer.redemptions) == (2 if step in LOST else 1)

    asyncio.run(run())

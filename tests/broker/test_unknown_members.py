"""Unknown members of `auth.json` survive whatever writes the file (promise P10)."""

import asyncio
import copy
import errno
import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.credential.refresh_request import RefreshRequest
from greenroom.broker.refresh.exchange import RefreshOutcome
from greenroom.broker.refresh.journal import JournalEntry
from greenroom.broker.refresh.process import RefreshReport, RefreshTask, packed, unpacked
from greenroom.broker.refresh.refresher import RefreshResult, Trigger
from greenroom.broker.token_issuer.classify import RefreshAnswered
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.protocol.secrecy import Secret
from tests.broker.homes import EXPIRED, Parts, read, tokens, write
from tests.broker.issuer import Deed, MockIssuer
from tests.support.loop import until

KNOWN = {"auth_mode", "OPENAI_API_KEY", "tokens", "last_refresh", "id_token", "access_token", "refresh_token"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(-1e300, 1e300) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["unknown", "future_key", "type", "", "\0"]) | st.text(max_size=8)
MEMBERS = st.dictionaries(NAMES.filter(lambda name: name not in KNOWN | {"account_id"}), JSON, max_size=4)
FUTURE = {"future_key": {"x": 1}, "unknown": [None, 2**70], "type": "RefreshTask"}
WITHIN = {"session": {"y": [1.5]}, "unknown": True}


def extended(refresh: str, top: dict[str, Any], within: dict[str, Any], lasts: float = EXPIRED) -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(tokens(refresh, lasts))
    content.update(top)
    content["tokens"].update(within)
    return content


def unknown(content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the unknown members, at both levels."""
    held = content.get("tokens") or {}
    return (
        {name: value for name, value in content.items() if name not in KNOWN},
        {name: value for name, value in held.items() if name not in KNOWN | {"account_id"}},
    )


@given(MEMBERS, MEMBERS)
def test_they_go_to_the_process_of_a_refresh_and_come_back(top: dict[str, Any], within: dict[str, Any]) -> None:
    record = AuthRecord.read(json.dumps(extended("r", top, within)).encode())
    task = RefreshTask(
        RefreshRequest(record, Secret("r")),
        IssuerEndpoints.of("http://x"),
        "/h",
        "file",
        True,
        JournalEntry(),
        0.0,
        1,
        "info",
    )
    there = unpacked(packed(task), RefreshTask)
    assert unknown(json.loads(there.order.record.encoded())) == (top, within)
    report = RefreshReport(RefreshOutcome(RefreshAnswered(Secret("a")), "stored", record), JournalEntry(), 0.0)
    assert unpacked(packed(report), RefreshReport) == report


Path_ = Callable[[Parts], Awaitable[None]]


async def refresh(parts: Parts) -> None:
    assert await parts.refresher.join(Trigger.NEED) is RefreshResult.REFRESHED


async def refresh_unwritable_at_first(parts: Parts) -> None:
    store = parts.manager.store
    real = store.replace

    def full(_: AuthRecord) -> None:
        raise OSError(errno.ENOSPC, "full")

    store.replace = full  # type: ignore[assignment, method-assign]
    assert await parts.refresher.join(Trigger.NEED) is RefreshResult.REFRESHED
    store.replace = real  # type: ignore[method-assign]
    await parts.manager.persist(now=True)


async def adopt_and_refresh(parts: Parts) -> None:
    write(parts.home, read(parts.home))
    await parts.manager.reload(always=True)
    await refresh(parts)


async def log_in_again(parts: Parts) -> None:
    fresh = AuthRecord.read(json.dumps(tokens("other")).encode()).tokens
    assert fresh is not None
    await parts.manager.log_in(lambda found: AuthRecord.of_login(fresh, None, 0.0, found))


PATHS: dict[str, Path_] = {
    "refresh": refresh,
    "refresh, unwritable at first": refresh_unwritable_at_first,
    "adoption and refresh": adopt_and_refresh,
    "login to the same account": log_in_again,
}


async def follow(path: Path_, top: dict[str, Any], within: dict[str, Any], lifeline: int | None = None) -> None:
    with tempfile.TemporaryDirectory() as home:
        async with MockIssuer() as issuer, asyncio.timeout(30):
            write(home, extended(issuer.grant(), top, within))
            parts = Parts(home, issuer, lifeline=lifeline)
            await parts.manager.reload()
            before = read(home)
            await path(parts)
            assert read(home)["tokens"] != before["tokens"]
            assert unknown(read(home)) == (top, within)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(top=MEMBERS, within=MEMBERS)
def test_they_survive_every_way_to_write_the_file(path: str, top: dict[str, Any], within: dict[str, Any]) -> None:
    asyncio.run(follow(PATHS[path], top, within))


def test_they_survive_a_refresh_by_a_process_of_its_own() -> None:
    reader, writer = os.pipe()
    try:
        asyncio.run(follow(refresh, FUTURE, WITHIN, reader))
    finally:
        os.close(reader)
        os.close(writer)


def test_what_others_write_during_a_refresh_stays(tmp_path: Path) -> None:
    """The issuer answers after another program has added something to the file."""

    async def run() -> None:
        async with MockIssuer() as issuer, asyncio.timeout(30):
            write(str(tmp_path), tokens(token := issuer.grant(), EXPIRED))
            parts = Parts(str(tmp_path), issuer)
            await parts.manager.reload()
            issuer.deeds.append(Deed(gate=(gate := asyncio.Event())))
            refresh = parts.refresher.join(Trigger.NEED)
            await issuer.arrived(1)
            content = read(parts.home)
            content.update(FUTURE)
            content["tokens"].update(WITHIN)  # type: ignore[attr-defined]
            write(parts.home, content)
            gate.set()
            assert await refresh is RefreshResult.REFRESHED
            assert unknown(read(parts.home)) == (FUTURE, WITHIN)
            assert read(parts.home)["tokens"]["refresh_token"] != token  # type: ignore[index]
            await until(lambda: parts.manager.is_written)

    asyncio.run(run())


def test_members_of_the_tokens_of_another_account_go_with_them() -> None:
    old = AuthRecord.read(json.dumps(extended("r", FUTURE, WITHIN)).encode())
    fresh = AuthRecord.read(json.dumps(tokens("s", account="org-2", user="user-2")).encode()).tokens
    assert fresh is not None
    assert unknown(json.loads(AuthRecord.of_login(fresh, None, 0.0, old).encoded())) == (FUTURE, {})
    assert unknown(json.loads(AuthRecord.of_key("sk-1", old).encoded())) == (FUTURE, {})

"""The account's limits: as the model's server has told them last, until another account is in force."""

import json
from typing import Any

from greenroom.demo.script import FailStep, rule
from greenroom.protocol.internal.broker.broadcasts import AuthChanged, RateLimited
from greenroom.protocol.jsonrpc import Request
from greenroom.supervisor.frontend.app_server.account_limits import AccountLimits, limits_snapshot
from greenroom.supervisor.processes.broadcasts import Broadcasts
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.loop import on_loop
from tests.support.stage import Stage

READ = Request(1, b"1", "account/rateLimits/read", None)
EVENT = {
    "limit_id": "codex",
    "limit_name": None,
    "primary": {"used_percent": 12.6, "window_minutes": 300, "resets_at": 1795400000},
    "secondary": None,
    "credits": {"has_credits": True, "unlimited": False, "balance": None},
    "rate_limit_reached_type": "rate_limit_reached",
    "plan_type": None,
}
SNAPSHOT = {
    "limitId": "codex",
    "rateLimitReachedType": "rate_limit_reached",
    "primary": {"usedPercent": 13, "windowDurationMins": 300, "resetsAt": 1795400000},
    "credits": {"hasCredits": True, "unlimited": False, "balance": None},
}


async def read(limits: AccountLimits) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads((await limits.read(READ)).result)
    return answer


def test_what_is_not_known_is_left_out() -> None:
    assert limits_snapshot(EVENT) == SNAPSHOT
    assert limits_snapshot({}) == {}


@on_loop
async def test_what_was_told_last_is_read_until_another_account_is_in_force() -> None:
    broadcasts = Broadcasts()
    limits = AccountLimits(broadcasts)
    assert await read(limits) == {"rateLimits": {}, "rateLimitsByLimitId": None}
    limits.note(limits_snapshot(EVENT))
    limits.note({"limitId": "codex", "primary": {"usedPercent": 20, "windowDurationMins": None, "resetsAt": None}})
    known = (await read(limits))["rateLimits"]
    assert (known["primary"]["usedPercent"], known["credits"]) == (20, SNAPSHOT["credits"])
    assert "rateLimitReachedType" not in known, "the last response does not say so any more"
    assert (await read(limits))["rateLimitsByLimitId"] == {"codex": known}
    broadcasts.publish(RateLimited(key="k"))
    assert (await read(limits))["rateLimits"] == known
    for changed in (False, True):
        assert (await read(limits))["rateLimits"] == known
        broadcasts.publish(
            AuthChanged(generation=2, state="API_KEY", mode="apikey", identity_changed=changed, reason="external")
        )
    assert await read(limits) == {"rateLimits": {}, "rateLimitsByLimitId": None}
    await limits.close()


def test_clients_are_told_what_the_models_server_tells(stage: Stage, app: Serve) -> None:
    headers = {"x-codex-primary-used-percent": "100", "x-codex-rate-limit-reached-type": "rate_limit_reached"}
    stage.play(rule("hello", [FailStep(429, {"error": {"type": "usage_limit_reached"}}, headers)]))
    client = app().app
    assert client.result(client.request("account/rateLimits/read"))["rateLimits"] == {}
    assert client.completed(client.say(client.start(cwd=stage.cwd), "hello"))["status"] == "failed"
    told = client.told("account/rateLimits/updated")["rateLimits"]
    assert (told["primary"]["usedPercent"], told["rateLimitReachedType"]) == (100, "rate_limit_reached")
    assert client.result(client.request("account/rateLimits/read"))["rateLimits"] == told

"""The account's limits, as responses of the model's server tell them."""

from greenroom.demo.script import FailStep, rule
from greenroom.supervisor.frontend.app_server.forms.account_limits import limits_snapshot
from tests.supervisor.frontend.app_server.conftest import Serve
from tests.support.stage import Stage

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


def test_what_is_not_known_is_left_out() -> None:
    assert limits_snapshot(EVENT) == SNAPSHOT
    assert limits_snapshot({}) == {}


def test_clients_are_told_what_the_models_server_tells(stage: Stage, app: Serve) -> None:
    headers = {"x-codex-primary-used-percent": "100", "x-codex-rate-limit-reached-type": "rate_limit_reached"}
    stage.play(rule("hello", [FailStep(429, {"error": {"type": "usage_limit_reached"}}, headers)]))
    client = app().app
    assert client.completed(client.say(client.start(cwd=stage.cwd), "hello"))["status"] == "failed"
    told = client.told("account/rateLimits/updated")["rateLimits"]
    assert (told["primary"]["usedPercent"], told["rateLimitReachedType"]) == (100, "rate_limit_reached")

"""The methods for which the account's service is asked: each answer, each fault, without processes."""

import json
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec
import pytest
from msgspec import UNSET

from benchmarks.reference_program import Missing
from greenroom.protocol.internal.account import AccountReplies, AccountReply, AskAccount
from greenroom.protocol.internal.broker.body import AuthMode
from greenroom.protocol.jsonrpc import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, Request
from greenroom.supervisor.conversations.jobs.jobs import JobFailedError, Jobs
from greenroom.supervisor.frontend.app_server.account.service_methods import AccountServiceMethods
from greenroom.supervisor.frontend.app_server.channel import AppServerChannel
from greenroom.supervisor.frontend.request_params import RefusedError
from tests.conformance.app_server.schemas import printed_schemas
from tests.supervisor.frontend.app_server.account.samples import (
    COST,
    MESSAGES,
    NOTICE,
    PROFILE,
    RESETS,
    THREAD,
    USAGE,
)
from tests.support.loop import on_loop

NUDGE: Final = "account/sendAddCreditsNudgeEmail"
CONSUME: Final = "account/rateLimitResetCredit/consume"
LIMITS: Final = "account/rateLimits/read"
TOKENS: Final = "account/usage/read"
TEXTS: Final = "account/workspaceMessages/read"
SETUP: Final = "account/securitySetup/read"
PARAMS: Final[Mapping[str, object]] = {
    LIMITS: None,
    TOKENS: None,
    TEXTS: None,
    SETUP: None,
    CONSUME: {"idempotencyKey": "k", "creditId": "c1"},
    NUDGE: {"creditType": "credits"},
}
TELLING: Final = tuple(name for name in PARAMS if name != SETUP)
"""Methods that fail where the service does."""


class Service:
    """Takes the place of the jobs: answers with these bodies and statuses by route."""

    failure: JobFailedError | None = None

    def __init__(self, mode: AuthMode = "chatgpt", /, **told: object) -> None:
        self.mode = mode
        self.told = told
        self.asked: list[tuple[str, object]] = []
        self.headers: dict[str, str] = {}

    async def run(self, asked: AskAccount) -> bytes:
        if self.failure is not None:
            raise self.failure
        assert asked.user_agent == "agent/1"
        if self.mode != "chatgpt":
            return msgspec.json.encode(AccountReplies(mode=self.mode))
        replies = []
        for call in asked.calls:
            self.headers |= call.headers
            self.asked.append((call.route, None if call.body is UNSET else json.loads(bytes(call.body))))
            replies.append(_reply(call.route, self.told[call.route.replace("/", "_").replace("-", "_")]))
        told = AccountReplies(mode="chatgpt", account_id="acc-123", user_id="user-1", replies=tuple(replies))
        return msgspec.json.encode(told)


def _reply(route: str, told: object) -> AccountReply:
    if isinstance(told, int):
        return AccountReply(request=f"X {route}", status=told, complaint=f"{told} Complaint")
    return AccountReply(request=f"X {route}", status=200, content=msgspec.Raw(msgspec.json.encode(told)))


def failing(text: str) -> Service:
    service = Service()
    service.failure = JobFailedError(text, "worker_crashed")
    return service


async def ask(service: Service, method: str, params: object = ...) -> Any:
    channel = AppServerChannel(lambda _: None, lambda: "agent/1")
    methods = AccountServiceMethods(cast("Jobs", service), channel).methods
    given = PARAMS[method] if params is ... else params
    raw = None if given is None else msgspec.Raw(msgspec.json.encode(given))
    answer = await methods[method](Request(1, b"1", method, raw))
    result = json.loads(answer.result)
    schemas = printed_schemas()
    if not isinstance(schemas, Missing):
        schemas.check_params(schemas.requests, method, given)
        schemas.check_result(method, result)
    return result


async def refusal(service: Service, method: str, params: object = ...) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        await ask(service, method, params)
    return caught.value.code, str(caught.value)


@on_loop
async def test_limits_are_told_by_their_names() -> None:
    service = Service(usage=USAGE, rate_limit_reset_credits=RESETS)
    read = await ask(service, LIMITS)
    assert service.asked == [("usage", None), ("rate-limit-reset-credits", None)]
    assert read["rateLimits"] == {
        "limitId": "codex",
        "limitName": None,
        "normalModelSlug": None,
        "primary": {"usedPercent": 12, "windowDurationMins": 300, "resetsAt": 1796000000},
        "secondary": {"usedPercent": 12, "windowDurationMins": 10080, "resetsAt": 1796000000},
        "credits": {"hasCredits": True, "unlimited": False, "balance": "9.5"},
        "individualLimit": {"limit": "100", "used": "3", "remainingPercent": 97, "resetsAt": 1796000001},
        "spendControlReached": True,
        "planType": "pro",
        "rateLimitReachedType": "rate_limit_reached",
    }
    by_id = read["rateLimitsByLimitId"]
    assert by_id["codex"] == read["rateLimits"]
    assert (by_id["codex_other"]["limitName"], by_id["codex_other"]["primary"]["usedPercent"]) == ("Other", 12)
    assert (by_id["codex_none"]["primary"], by_id["codex_none"]["planType"]) == (None, "pro")
    assert (read["ordinaryUsageAllowed"], read["accountId"]) == (True, "acc-123")
    assert read["rateLimitUpsell"] == {"some_name": [1]}
    resets = read["rateLimitResetCredits"]
    assert resets["availableCount"] == 1
    assert [(one["status"], one["grantedAt"], one["expiresAt"]) for one in resets["credits"]] == [
        ("available", 1793491200, 1796079600),
        ("unknown", 1793491200, None),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"plan_type": "education"}, {"planType": "edu"}),
        ({"plan_type": "a new one"}, {"planType": "unknown"}),
        ({"rate_limit": None}, {"primary": None, "secondary": None}),
        ({"credits": None}, {"credits": None}),
        ({"spend_control": None}, {"individualLimit": None, "spendControlReached": None}),
        ({"spend_control": {"reached": False}}, {"individualLimit": None, "spendControlReached": False}),
        ({"rate_limit_reached_type": {"type": "a new one"}}, {"rateLimitReachedType": None}),
        ({"rate_limit_reached_type": None}, {"rateLimitReachedType": None}),
        (
            {"rate_limit": {"primary_window": {"used_percent": 12.6, "limit_window_seconds": 61}}},
            {"primary": {"usedPercent": 13, "windowDurationMins": 2, "resetsAt": None}},
        ),
        (
            {"rate_limit": {"primary_window": {"used_percent": 0, "limit_window_seconds": 0}}},
            {"primary": {"usedPercent": 0, "windowDurationMins": None, "resetsAt": None}},
        ),
    ],
)
@on_loop
async def test_what_the_service_does_not_tell_or_tells_in_new_words_is_not_known(
    change: dict[str, object], expected: dict[str, object]
) -> None:
    read = await ask(Service(usage={**USAGE, **change}), LIMITS, {"excludeResetCreditDetails": True})
    assert expected.items() <= read["rateLimits"].items()


@on_loop
async def test_the_least_that_the_service_can_say_of_limits() -> None:
    read = await ask(Service(usage={"plan_type": "pro"}, rate_limit_reset_credits=404), LIMITS)
    assert list(read["rateLimitsByLimitId"]) == ["codex"]
    assert (read["ordinaryUsageAllowed"], read["rateLimitResetCredits"], read["accountId"]) == (None, None, None)


@pytest.mark.parametrize(
    "other", [{"account_id": "acc-9"}, {"user_id": "user-9"}, {"user_id": None}, {"rate_limit": None}]
)
@on_loop
async def test_whether_usage_is_allowed_and_what_is_offered_are_told_only_of_the_own_account(
    other: dict[str, object],
) -> None:
    read = await ask(Service(usage={**USAGE, **other}), LIMITS, {"excludeResetCreditDetails": True})
    assert read["ordinaryUsageAllowed"] is None
    assert read["rateLimitUpsell"] is None or "rate_limit" in other


@pytest.mark.parametrize("details", [500, 404, {}, {"available_count": 1}, {"available_count": 1, "credits": [{}]}])
@on_loop
async def test_without_the_details_of_resets_their_number_is_told(details: object) -> None:
    read = await ask(Service(usage=USAGE, rate_limit_reset_credits=details), LIMITS)
    assert read["rateLimitResetCredits"] == {"availableCount": 2, "credits": None}


@on_loop
async def test_a_client_says_what_it_needs_of_limits() -> None:
    service = Service(usage=USAGE)
    await ask(service, LIMITS, {"excludeResetCreditDetails": True, "supportsLunaReserve": True})
    assert service.asked == [("usage", None)]
    assert service.headers == {"x-openai-codex-luna-reserve": "1"}


@on_loop
async def test_usage_of_the_account() -> None:
    service = Service(profiles_me=PROFILE)
    read = await ask(service, TOKENS)
    assert read == await ask(service, TOKENS, {}) == await ask(service, TOKENS, {"threadId": None})
    assert read["summary"] == {
        "lifetimeTokens": 5,
        "peakDailyTokens": 3,
        "longestRunningTurnSec": 9,
        "currentStreakDays": 1,
        "longestStreakDays": 2,
    }
    assert read["dailyUsageBuckets"] == [{"startDate": "2026-11-01", "tokens": 7}]
    least = await ask(Service(profiles_me={"stats": {}}), TOKENS)
    assert (set(least["summary"].values()), least["dailyUsageBuckets"]) == ({None}, None)


@on_loop
async def test_cost_of_a_thread() -> None:
    service = Service(usage_thread_usage_query={"threads": [COST]})
    read = await ask(service, TOKENS, {"threadId": THREAD})
    assert service.asked == [("usage/thread_usage/query", {"thread_ids": [THREAD]})]
    usage = read["threadUsage"]
    assert (usage["threadId"], usage["estimatedUsageUsdMicros"]) == (THREAD, 2)
    assert [(one["model"], one["totalTokens"]) for one in usage["groups"]] == [("m", 5), (None, None)]
    for status in (403, 404):
        unknown = await ask(Service(usage_thread_usage_query=status), TOKENS, {"threadId": THREAD})
        assert unknown["threadUsage"] is None
    others: tuple[dict[str, object], ...] = ({"threads": []}, {"threads": [{**COST, "thread_id": "x"}]})
    for told in others:
        code, text = await refusal(Service(usage_thread_usage_query=told), TOKENS, {"threadId": THREAD})
        assert (code, text) == (INTERNAL_ERROR, "failed to fetch thread usage: the answer does not mention the thread")
    code, text = await refusal(service, TOKENS, {"threadId": "0199"})
    assert (code, text) == (INVALID_REQUEST, "invalid thread id: it is no UUID")


@on_loop
async def test_messages_of_the_workspace() -> None:
    read = await ask(Service(workspace_messages=MESSAGES), TEXTS)
    assert [(one["messageId"], one["messageType"], one["createdAt"]) for one in read["messages"]] == [
        ("m1", "headline", 1793491200),
        ("m2", "unknown", None),
    ]
    assert read["featureEnabled"]
    others: tuple[tuple[object, bool], ...] = ((404, False), ({}, True), ({"messages": None}, True))
    for told, enabled in others:
        assert await ask(Service(workspace_messages=told), TEXTS) == {"featureEnabled": enabled, "messages": []}


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("reset", "reset"),
        ("nothing_to_reset", "nothingToReset"),
        ("no_credit", "noCredit"),
        ("already_redeemed", "alreadyRedeemed"),
    ],
)
@on_loop
async def test_limits_are_reset(code: str, outcome: str) -> None:
    service = Service(rate_limit_reset_credits_consume={"code": code})
    assert await ask(service, CONSUME) == {"outcome": outcome}
    assert await ask(service, CONSUME, {"idempotencyKey": "k"}) == {"outcome": outcome}
    route = "rate-limit-reset-credits/consume"
    assert service.asked == [
        (route, {"redeem_request_id": "k", "credit_id": "c1"}),
        (route, {"redeem_request_id": "k"}),
    ]


@on_loop
async def test_the_owner_of_the_workspace_is_asked() -> None:
    service = Service(accounts_send_add_credits_nudge_email={})
    assert await ask(service, NUDGE) == {"status": "sent"}
    assert service.asked == [("accounts/send_add_credits_nudge_email", {"credit_type": "credits"})]
    assert await ask(Service(accounts_send_add_credits_nudge_email=429), NUDGE) == {"status": "cooldown_active"}


@on_loop
async def test_a_notice_about_security_is_bound_to_the_account_and_its_absence_is_no_fault() -> None:
    read = await ask(Service(security_setup=NOTICE), SETUP)
    assert read["notice"] == {"accountId": "acc-123", "userId": "user-1", **NOTICE["notice"]}
    others: tuple[object, ...] = ({}, {"notice": None}, {"notice": {}}, 500, 401)
    for told in others:
        assert await ask(Service(security_setup=told), SETUP) == {"notice": None}
    for mode in ("none", "apikey"):
        assert await ask(Service(mode), SETUP) == {"notice": None}
    assert await ask(failing("x"), SETUP) == {"notice": None}


def everywhere(told: object) -> dict[str, object]:
    routes = ("usage", "rate_limit_reset_credits", "profiles_me", "workspace_messages")
    posts = ("rate_limit_reset_credits_consume", "accounts_send_add_credits_nudge_email")
    return dict.fromkeys((*routes, *posts), told)


@pytest.mark.parametrize("method", TELLING)
@pytest.mark.parametrize("status", [401, 403, 500, 503])
@on_loop
async def test_a_refusal_of_the_service_is_told(method: str, status: int) -> None:
    code, text = await refusal(Service(**everywhere(status)), method)
    assert code == INTERNAL_ERROR
    assert text.startswith("failed to ")
    assert text.endswith(f" failed: {status} Complaint")


@pytest.mark.parametrize("method", [name for name in TELLING if name != NUDGE])
@pytest.mark.parametrize("told", [[], "x", 1.5, None, {"stats": 1, "plan_type": 1, "messages": 1, "code": "new"}])
@on_loop
async def test_an_answer_of_another_form_is_a_fault(method: str, told: object) -> None:
    code, text = await refusal(Service(**everywhere(told)), method)
    assert code == INTERNAL_ERROR
    assert "Expected" in text or "Invalid" in text or "missing" in text, text


@pytest.mark.parametrize("method", TELLING)
@on_loop
async def test_a_request_that_could_not_be_made_is_told(method: str) -> None:
    code, text = await refusal(failing("its process died"), method)
    assert code == INTERNAL_ERROR
    assert text.endswith(": its process died")


@pytest.mark.parametrize("method", TELLING)
@pytest.mark.parametrize(("mode", "wanted"), [("none", "codex account"), ("apikey", "chatgpt")])
@on_loop
async def test_another_login_than_chatgpts_is_refused(method: str, mode: AuthMode, wanted: str) -> None:
    code, text = await refusal(Service(mode), method)
    assert code == INVALID_REQUEST
    assert text.startswith(f"{wanted} authentication required ")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (LIMITS, []),
        (LIMITS, {"supportsLunaReserve": 3}),
        (TOKENS, []),
        (TOKENS, {"threadId": 3}),
        (CONSUME, None),
        (CONSUME, {}),
        (CONSUME, {"idempotencyKey": ""}),
        (CONSUME, {"idempotencyKey": "k", "creditId": ""}),
        (NUDGE, None),
        (NUDGE, {}),
        (NUDGE, {"creditType": "money"}),
    ],
)
@on_loop
async def test_params_of_another_form_are_refused_before_the_service_is_asked(method: str, params: object) -> None:
    service = Service()
    code, _ = await refusal(service, method, params)
    assert code == INVALID_PARAMS
    assert service.asked == []

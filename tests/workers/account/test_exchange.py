"""Requests to the account's service: what is sent, and what each way of answering comes to."""

import gzip
import socket

import msgspec
import pytest

from greenroom.protocol.internal.account import AccountCall, AccountReply
from greenroom.protocol.internal.broker.answers import BearerSnapshot
from greenroom.workers.account import exchange
from greenroom.workers.account.exchange import AccountExchange
from tests.support.account_service import AccountService, Told
from tests.support.loop import on_loop

TOKEN = "opaque-access-token-0123456789"
BEARER = BearerSnapshot(
    generation=1,
    broker_epoch="e",
    mode="chatgpt",
    token=TOKEN,
    identity_key="k",
    source="store",
    account_id="acc-1",
    user_id="user-1",
)
USAGE = AccountCall(route="usage", headers={"x-more": "1"})
PLENTY = exchange.LONGEST + 1


async def send(base_url: str, *calls: AccountCall, timeout_s: float = 20.0) -> tuple[AccountReply, ...]:
    async with AccountExchange(base_url, "agent/1", timeout_s) as sender:
        return await sender.send_all(calls, BEARER)


@on_loop
async def test_a_request_carries_the_login_and_its_answer_comes_back() -> None:
    with AccountService({"usage": Told(body={"a": 1}), "consume": Told(body={"code": "reset"})}) as service:
        replies = await send(service.base_url, USAGE, AccountCall(route="consume", body=msgspec.Raw(b'{"k":1}')))
    assert [bytes(reply.content) for reply in replies] == [b'{"a":1}', b'{"code":"reset"}']
    assert all(reply.is_success and reply.status == 200 for reply in replies)
    get, post = sorted(service.asked, key=lambda one: one.method)
    assert (get.method, get.path, get.body) == ("GET", "/backend-api/wham/usage", b"")
    assert (post.method, post.path, post.body) == ("POST", "/backend-api/wham/consume", b'{"k":1}')
    expected = {"authorization": f"Bearer {TOKEN}", "chatgpt-account-id": "acc-1", "user-agent": "agent/1"}
    assert expected.items() <= get.headers.items()
    assert expected.items() <= post.headers.items()
    assert (get.headers["x-more"], post.headers["content-type"]) == ("1", "application/json")


@pytest.mark.parametrize(
    ("told", "status", "complaint"),
    [
        (Told(500, b"boom"), 500, "500 Internal Server Error: boom"),
        (Told(503, b""), 503, "503 Service Unavailable"),
        (Told(401, {"error": {"message": "expired"}}), 401, "401 Unauthorized: expired"),
        (Told(403, {"detail": f"not with {TOKEN}"}), 403, "403 Forbidden: not with <redacted>"),
        (Told(302, b"", {"location": "/backend-api/wham/elsewhere"}), 302, "302 Found"),
        (Told(200, b"<html>"), 200, "the answer is not JSON"),
        (Told(200, b"\xff\xfe"), 200, "the answer is not JSON"),
        (Told(200, b"[" * 100_000), 200, "the answer is not JSON"),
        (Told(200, b" " * PLENTY), 0, f"the answer is longer than {exchange.LONGEST} bytes"),
        (Told(500, b"x" * PLENTY), 0, f"the answer is longer than {exchange.LONGEST} bytes"),
        (Told(200, b"no gzip at all", {"content-encoding": "gzip"}), 0, "the compressed answer (gzip)"),
        (
            Told(200, gzip.compress(b" " * 20_000_000), {"content-encoding": "gzip"}),
            0,
            "the compressed answer expands to more than",
        ),
        (Told(200, b"{}", {"content-encoding": "br"}), 0, "the server compressed its answer (br)"),
    ],
)
@on_loop
async def test_an_answer_without_a_body_that_can_be_used_is_a_complaint(
    told: Told, status: int, complaint: str
) -> None:
    with AccountService({"usage": told}) as service:
        (reply,) = await send(service.base_url, USAGE)
    assert reply.status == status
    assert reply.complaint.startswith(complaint), reply.complaint
    assert not reply.is_success
    assert len(reply.complaint) < 700
    assert len(service.asked) == 1, "no redirect is followed"


@on_loop
async def test_a_compressed_answer_is_read() -> None:
    packed = Told(200, gzip.compress(b'{"a":1}'), {"content-encoding": "gzip"})
    with AccountService({"usage": packed}) as service:
        (reply,) = await send(service.base_url, USAGE)
    assert bytes(reply.content) == b'{"a":1}'


@on_loop
async def test_an_answer_that_does_not_come_is_waited_for_only_so_long() -> None:
    with AccountService({"usage": Told(is_kept_back=True), "other": Told(body=1)}) as service:
        slow, other = await send(service.base_url, USAGE, AccountCall(route="other"), timeout_s=0.3)
    assert (slow.status, slow.complaint) == (0, "no answer within 0.3 s")
    assert other.is_success, "one request does not hold up another"


@on_loop
async def test_a_service_that_is_not_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        (reply,) = await send(f"http://127.0.0.1:{port}/backend-api", USAGE)
    assert reply.complaint.startswith(f"cannot connect to 127.0.0.1:{port}: ")
    assert reply.request == f"GET http://127.0.0.1:{port}/backend-api/wham/usage"


@pytest.mark.parametrize(
    "base_url", ["", "nonsense", "ftp://a.b/backend-api", "http://[", "http://a b/", "http://me:hidden@a.b/"]
)
@on_loop
async def test_an_address_that_is_none(base_url: str) -> None:
    (reply,) = await send(base_url, USAGE)
    assert (reply.status, reply.is_success) == (0, False)
    assert "hidden" not in reply.request + reply.complaint

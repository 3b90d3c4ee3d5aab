"""Metrics are served to their user on this machine, and to nobody and nothing else."""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from greenroom.protocol.errors import ConfigError, StartError
from greenroom.protocol.telemetry.metric import Family, Sample
from greenroom.protocol.telemetry.metrics import METRICS
from greenroom.protocol.telemetry.openmetrics import CONTENT_TYPE
from greenroom.supervisor.control import metrics_listener, peer
from greenroom.supervisor.control.metrics_listener import MetricsListener
from greenroom.supervisor.control.peer import PeerCredentials
from tests.support.openmetrics import read_page

Scene = Callable[[MetricsListener, str], Awaitable[None]]
OTHER = os.getuid() + 1
GET = "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
tells_owners = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who connects over TCP")


async def families() -> list[Family]:
    return [Family("greenroom_clients", METRICS["greenroom_clients"], (Sample((), 3.0),))]


def play(scene: Scene, listen: str = "127.0.0.1:0", users: tuple[str, ...] = ()) -> None:
    async def run() -> None:
        listener = MetricsListener(listen, users, families)
        where = await listener.start()
        try:
            async with asyncio.timeout(20):
                await scene(listener, where)
        finally:
            listener.close()

    asyncio.run(run())


def host_of(where: str) -> str:
    return where.removeprefix("http://").partition("/")[0]


async def ask(where: str, request: str) -> tuple[int, str, str]:
    """Return status, head and body of the answer."""
    if where.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(where.removeprefix("unix:"))
    else:
        host, _, port = host_of(where).rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.write(request.encode())
    answer = (await reader.read()).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), head, body


@tells_owners
def test_the_user_gets_the_page() -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        status, head, body = await ask(where, GET.format(host=host_of(where), more=""))
        assert status == 200
        assert f"content-type: {CONTENT_TYPE}" in head.lower()
        assert "cache-control: no-store" in head.lower()
        assert read_page(body) == {("greenroom_clients", frozenset()): 3.0}

    play(scene)


@tells_owners
@pytest.mark.parametrize(
    ("status", "request_line", "host", "more"),
    [
        (403, "GET /metrics", "evil.example", ""),
        (403, "GET /metrics", "localhost", ""),
        (403, "GET /metrics", "{host}", "Origin: http://evil.example\r\n"),
        (403, "GET /metrics", "{host}", "Origin: http://{host}\r\n"),
        (403, "GET /metrics", "{host}", "Sec-Fetch-Site: cross-site\r\n"),
        (400, "GET /metrics", "{host}", "Host: {host}\r\n"),
        (404, "GET /", "{host}", ""),
        (404, "GET /mcp", "{host}", ""),
        (405, "POST /metrics", "{host}", "Content-Length: 0\r\n"),
        (405, "DELETE /metrics", "{host}", ""),
        (405, "OPTIONS /metrics", "{host}", ""),
        (405, "HEAD /metrics", "{host}", ""),
    ],
)
def test_any_other_request_is_refused(status: int, request_line: str, host: str, more: str) -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        own = host_of(where)
        request = GET.replace("GET /metrics", request_line).format(
            host=host.format(host=own), more=more.format(host=own)
        )
        found, _head, body = await ask(where, request)
        assert found == status
        assert "greenroom_clients" not in body

    play(scene)


@tells_owners
def test_another_user_is_refused_over_tcp_unless_the_settings_name_it() -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        with patch.object(metrics_listener, "owner_of_peer", lambda _: OTHER):
            status, _head, body = await ask(where, GET.format(host=host_of(where), more=""))
        assert (status, "greenroom_clients" in body) == (200 if named else 403, named)

    for named in (False, True):
        play(scene, users=(str(OTHER),) if named else ())


def test_where_the_system_does_not_tell_who_asks_only_everybody_may() -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        with patch.object(metrics_listener, "owner_of_peer", lambda _: None):
            status, *_rest = await ask(where, GET.format(host=host_of(where), more=""))
        assert status == (200 if users else 403)

    for users in ((), ("*",)):
        play(scene, users=users)


def test_a_unix_socket_serves_its_user_and_refuses_another(tmp_path: Path) -> None:
    path = tmp_path / "metrics"

    async def scene(_: MetricsListener, where: str) -> None:
        assert where == f"unix:{path}"
        assert path.stat().st_mode & 0o777 == 0o600
        status, _head, body = await ask(where, GET.format(host="anything", more=""))
        assert (status, "greenroom_clients 3" in body) == (200, True)
        with patch.object(peer, "peer_of", lambda _: PeerCredentials(1, OTHER)):
            status, _head, body = await ask(where, GET.format(host="anything", more=""))
        assert (status, "greenroom_clients" in body) == (403, False)

    play(scene, f"unix:{path}")
    assert list(tmp_path.iterdir()) == [], "nothing is left"


@pytest.mark.parametrize(("users", "mode"), [((), 0o600), ((str(OTHER),), 0o666), (("*",), 0o666)])
def test_others_can_open_the_socket_where_the_settings_let_them_read(
    tmp_path: Path, users: tuple[str, ...], mode: int
) -> None:
    path = tmp_path / "metrics"

    async def scene(_: MetricsListener, where: str) -> None:
        assert path.stat().st_mode & 0o777 == mode

    play(scene, f"unix:{path}", users)


def test_a_socket_of_a_dead_instance_is_replaced_and_one_of_a_living_is_not(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async def scene(_: MetricsListener, where: str) -> None:
        with pytest.raises(StartError, match="another program listens"):
            await MetricsListener(where, (), families).start()
        status, *_rest = await ask(where, GET.format(host="x", more=""))
        assert status == 200

    play(scene, f"unix://{path}")


def test_what_is_no_socket_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(StartError, match="it is no socket"):
        asyncio.run(MetricsListener(f"unix:{path}", (), families).start())
    assert path.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [path]


def test_connections_at_a_unix_socket_are_bounded(tmp_path: Path) -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        path = where.removeprefix("unix:")
        opened = [await asyncio.open_unix_connection(path) for _ in range(metrics_listener.LIMITS.connections)]
        reader, extra = await asyncio.open_unix_connection(path)
        async with asyncio.timeout(metrics_listener.LIMITS.header_timeout_s / 2):  # before those that say nothing are
            assert await reader.read() == b"", "closed without a word"
        for writer in (extra, *(writer for _, writer in opened)):
            writer.close()

    play(scene, f"unix:{tmp_path / 'metrics'}")


def test_a_port_that_is_taken_is_an_error_that_says_so() -> None:
    async def scene(_: MetricsListener, where: str) -> None:
        with pytest.raises(StartError, match="in use"):
            await MetricsListener(host_of(where), (), families).start()

    play(scene)


@pytest.mark.parametrize(
    ("listen", "users", "said"),
    [
        ("0.0.0.0:9464", (), "loopback alone"),
        ("192.0.2.1:9464", (), "loopback alone"),
        ("example.org:9464", (), "loopback alone"),
        ("nonsense", (), "no address"),
        ("unix:relative", (), "absolute path"),
        ("9464", ("nobody-of-this-name",), "no such user"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused(listen: str, users: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        MetricsListener(listen, users, families)

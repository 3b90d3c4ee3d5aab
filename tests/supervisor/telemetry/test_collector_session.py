"""Posts go where and how `requests` would send them, and errors are known to exporters as its own."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from greenroom.supervisor.telemetry.collector_session import CollectorSession, _known
from tests.support.collector import Collector

EMPTY = ExportTraceServiceRequest().SerializeToString()


@pytest.fixture
def collector() -> Iterator[Collector]:
    started = Collector()
    yield started
    started.close()


def post(url: str, timeout: float = 20.0) -> requests.Response:
    with CollectorSession(ExportTraceServiceRequest, is_json=False) as session:
        return session.post(url, data=EMPTY, headers={"x-key": "k"}, timeout=timeout)


def test_a_proxy_of_the_environment_is_used_but_for_what_it_is_not_for(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", collector.base.replace("//", "//user:word@"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for url in ("http://collector.invalid/v1/traces", f"{collector.base}/v1/traces"):
        assert post(url).ok
    assert collector.targets == ["http://collector.invalid/v1/traces", "/v1/traces"]
    assert [headers.get("proxy-authorization") for headers in collector.headers] == ["Basic dXNlcjp3b3Jk", None]
    assert {headers["x-key"] for headers in collector.headers} == {"k"}


def test_no_password_is_taken_from_the_home(
    collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    post(f"{collector.base}/v1/traces")
    assert "authorization" not in collector.headers[0]


def test_a_refusal_is_a_response(collector: Collector) -> None:
    collector.refuses = 503
    response = post(f"{collector.base}/v1/traces")
    assert (response.status_code, response.ok, response.reason) == (503, False, "Service Unavailable")


def test_nobody_and_silence_are_errors_that_exporters_know() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1/traces"
        with pytest.raises(requests.ConnectionError):
            post(url)
        listening.listen()
        with pytest.raises(requests.Timeout):
            post(url, timeout=0.05)


@pytest.mark.parametrize(
    ("error", "known_as"),
    [
        (urllib3.exceptions.ConnectTimeoutError(), requests.ConnectTimeout),
        (urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("h"), "/", ""), requests.Timeout),
        (urllib3.exceptions.ProxyError("", OSError()), requests.exceptions.ProxyError),
        (urllib3.exceptions.SSLError(), requests.exceptions.SSLError),
        (urllib3.exceptions.NewConnectionError(urllib3.connection.HTTPConnection("h"), ""), requests.ConnectionError),
        (urllib3.exceptions.ProtocolError(), requests.ConnectionError),
        (OSError(), requests.ConnectionError),
    ],
)
def test_errors_are_those_of_requests(error: Exception, known_as: type[Exception]) -> None:
    assert _known(error)[0] is known_as

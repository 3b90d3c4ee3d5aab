"""The paced model streams what is asked for until it is stopped, and tells when each delta was sent."""

import http.client
import time
from urllib.parse import urlsplit

import msgspec
import pytest

from benchmarks.model_process import PacedModel, prompt
from benchmarks.stamps import Arrivals


def ask(model: PacedModel, rate: int) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(model.base_url).netloc, timeout=10)
    connection.request("POST", "/v1/responses", msgspec.json.encode({"input": ["pace:3;", prompt(rate)]}))
    return connection.getresponse()


def events(response: http.client.HTTPResponse) -> list[dict[str, object]]:
    lines = response.read().splitlines()
    return [msgspec.json.decode(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]


def test_a_pace_of_none_is_a_single_delta() -> None:
    with PacedModel.start() as model, ask(model, 0) as response:
        found = events(response)
        kinds = [event["type"] for event in found]
        assert kinds[0] == "response.created"
        assert kinds[-1] == "response.completed"
        assert kinds.count("response.output_text.delta") == 1
        assert (model.report().sent, model.report().streaming) == (1, 0)


def test_streams_go_on_until_they_are_stopped_and_nothing_is_lost() -> None:
    rate, count = 200, 5
    with PacedModel.start() as model:
        begun = time.monotonic()
        responses = [ask(model, rate) for _ in range(count)]
        assert model.report().streaming == count
        first = [response.readline() for response in responses]
        assert all(line == b"event: response.created\n" for line in first)
        while model.report().sent < 50:
            assert time.monotonic() < begun + 10
        total = model.stop()
        took = time.monotonic() - begun
        arrivals, texts = Arrivals(), []
        for response in responses:
            found = events(response)
            deltas = [str(event["delta"]) for event in found if event["type"] == "response.output_text.delta"]
            (done,) = [event for event in found if event["type"] == "response.output_text.done"]
            assert "".join(deltas) == done["text"]
            texts += deltas
        arrivals.read("".join(texts).encode(), time.monotonic())
        assert len(arrivals.delays) == len(texts) == total.sent
        assert total.sent <= count * (rate * took + 1)
        assert model.report().streaming == 0


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/models"), ("POST", "/v1/responses")])
def test_what_names_no_pace_is_not_found(method: str, path: str) -> None:
    with PacedModel.start() as model:
        connection = http.client.HTTPConnection(urlsplit(model.base_url).netloc, timeout=10)
        for _ in range(2):
            connection.request(method, path, b"{}")
            with connection.getresponse() as response:
                assert response.status == 404
                response.read()
        connection.close()

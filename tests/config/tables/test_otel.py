"""The table `[otel]` as homes of the reference have it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.config.tables.otel import OtelTable, OtlpGrpc, OtlpHttp, otel_settings, with_variables
from greenroom.protocol.errors import ConfigError

if TYPE_CHECKING:
    from tests.config.conftest import Home

DOCUMENTED = """\
[otel]
environment = "staging"
exporter = "none"
log_user_prompt = true
metrics_exporter = "statsig"

[otel.trace_exporter.otlp-http]
endpoint = "https://otel.example.com/v1/traces"
protocol = "binary"
headers = { "x-otlp-api-key" = "${OTLP_TOKEN}" }

[otel.trace_exporter."otlp-http".tls]
ca-certificate = "certs/otel-ca.pem"
client-certificate = "/etc/codex/certs/client.pem"
client-private-key = "/etc/codex/certs/client-key.pem"
"""


def read(home: "Home", text: str, *overrides: str) -> OtelTable:
    home.write(text)
    return otel_settings(str(home.path), overrides)


def test_nothing_is_sent_by_default(home: "Home") -> None:
    for text in ("", "[otel]\n", '[otel]\nexporter = "none"\nmetrics_exporter = "statsig"\nenvironment = "prod"\n'):
        assert not read(home, text).is_on


def test_the_documented_form_is_understood(home: "Home") -> None:
    table = read(home, DOCUMENTED)
    assert table.is_on
    assert (table.environment, table.log_user_prompt) == ("staging", True)
    assert not table.exporter.is_on
    assert not table.metrics_exporter.is_on
    http = table.trace_exporter.otlp_http
    assert http is not None
    assert http.endpoint == "https://otel.example.com/v1/traces"
    assert http.tls.ca_certificate == "certs/otel-ca.pem"
    assert http.tls.client_private_key == "/etc/codex/certs/client-key.pem"
    assert "OTLP_TOKEN" not in repr(table)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('exporter = "otlp-http"', OtlpHttp()),
        (
            'exporter = { otlp-http = { endpoint = "http://x/v1/logs", protocol = "json" } }',
            OtlpHttp("http://x/v1/logs", {}, "json"),
        ),
        (
            'exporter = { otlp-grpc = { endpoint = "http://x:4317", headers = { a = "b" } } }',
            OtlpGrpc("http://x:4317", {"a": "b"}),
        ),
        ('exporter = "otlp-grpc"', OtlpGrpc()),
    ],
)
def test_each_form_of_an_exporter_is_understood(home: "Home", text: str, found: OtlpHttp | OtlpGrpc) -> None:
    exporter = read(home, f"[otel]\n{text}\n").exporter
    assert (exporter.otlp_http or exporter.otlp_grpc) == found


def test_the_command_line_wins(home: "Home") -> None:
    table = read(home, DOCUMENTED, 'otel.trace_exporter="none"', "otel.log_user_prompt=false")
    assert (table.is_on, table.log_user_prompt) == (False, False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('exporter = "otlp"', "otel.exporter"),
        ("log_user_prompt = 1", "otel.log_user_prompt"),
        ('exporter = { otlp-http = { endpoint = "", protocol = "binary" } }', "endpoint"),
        ('exporter = { otlp-http = { endpoint = "x", protocol = "yaml" } }', "protocol"),
        ("exporter = { otlp-http = {}, otlp-grpc = {} }", "not both"),
        ("span_attributes = { a = 1 }", "span_attributes"),
    ],
)
def test_what_is_wrong_is_named(home: "Home", text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(home, f"[otel]\n{text}\n")


def test_a_wrong_header_is_named_without_its_value(home: "Home") -> None:
    with pytest.raises(ConfigError) as caught:
        read(home, '[otel]\nexporter = { otlp-http = { headers = { a = ["sk-secret"] } } }\n')
    assert "sk-secret" not in str(caught.value)


def test_variables_are_put_into_headers() -> None:
    headers = {"Authorization": "Bearer ${KEY}", "x-two": "${A}${B}", "plain": "$KEY {KEY}"}
    expanded = with_variables(headers, {"KEY": "k", "A": "1", "B": "${KEY}"})
    assert expanded == {"authorization": "Bearer k", "x-two": "1${KEY}", "plain": "$KEY {KEY}"}


def test_a_variable_that_is_not_set_is_an_error_that_names_it() -> None:
    with pytest.raises(ConfigError, match="MISSING_KEY"):
        with_variables({"a": "${MISSING_KEY}"}, {})


@pytest.mark.parametrize("value", ["k\r\nx: y", "k\x00", "k\u00e9y"])
def test_a_value_that_no_header_can_have_is_refused_without_being_told(value: str) -> None:
    with pytest.raises(ConfigError, match="the header `a`") as refused:
        with_variables({"a": "${KEY}"}, {"KEY": value})
    assert value not in str(refused.value)


def test_blanks_around_a_value_are_left_out() -> None:
    assert with_variables({"a": " ${KEY}"}, {"KEY": "secret\n"}) == {"a": "secret"}


printable = st.text(st.characters(min_codepoint=32, max_codepoint=126)).map(str.strip)


@given(st.dictionaries(st.text(), printable.filter(lambda text: "${" not in text)))
def test_headers_without_variables_stay_as_they_are(headers: Mapping[str, str]) -> None:
    assert set(with_variables(headers, {}).values()) <= set(headers.values())

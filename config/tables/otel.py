"""The table `[otel]`: what is sent to collectors of OpenTelemetry, and where to. Nothing is unless it says so."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import field

from greenroom.config.document import Table
from greenroom.config.layers import layered
from greenroom.config.overrides import parse_assignment
from greenroom.config.section import Name, Section, check
from greenroom.protocol.errors import ConfigError

KEY: Final = "otel"
SIGNALS: Final = ("exporter", "trace_exporter", "metrics_exporter")
"""The keys of exporters: of events as log records, of traces, and of metrics."""
OFF: Final = frozenset({"none", "statsig"})
"""Values that stand for no exporter; the second is the reference's own service."""
_VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


class OtelTls(Section, frozen=True, rename="kebab"):
    """The table `tls` of an exporter: paths of files in PEM."""

    ca_certificate: Name | None = None
    client_certificate: Name | None = None
    client_private_key: Name | None = None


class OtlpHttp(Section, frozen=True):
    """The table `otlp-http` of an exporter."""

    withheld = frozenset({"headers"})

    endpoint: Name | None = None
    """Complete, with the path of the signal; `None`: as `OTEL_EXPORTER_OTLP_ENDPOINT` and its like say."""
    headers: dict[str, str] = field(default_factory=dict)
    """`${NAME}` in a value stands for a variable of the environment."""
    protocol: Literal["binary", "json"] = "binary"
    tls: OtelTls = OtelTls()

    @property
    def is_json(self) -> bool:
        """Whether messages are encoded as JSON."""
        return self.protocol == "json"


class OtlpGrpc(Section, frozen=True):
    """The table `otlp-grpc` of an exporter."""

    withheld = frozenset({"headers"})

    endpoint: Name | None = None
    headers: dict[str, str] = field(default_factory=dict)
    tls: OtelTls = OtelTls()


class OtelExporter(Section, frozen=True, rename="kebab"):
    """Where one signal is sent; nowhere where both are `None`."""

    otlp_http: OtlpHttp | None = None
    otlp_grpc: OtlpGrpc | None = None

    def __post_init__(self) -> None:
        if self.otlp_http is not None and self.otlp_grpc is not None:
            raise ValueError("an exporter is `otlp-http` or `otlp-grpc`, and not both")

    @property
    def is_on(self) -> bool:
        """Whether anything is sent."""
        return self.otlp_http is not None or self.otlp_grpc is not None


class OtelTable(Section, frozen=True):
    """The table itself."""

    environment: str = "dev"
    """`env` of everything that is sent."""
    log_user_prompt: bool = False
    """Whether the texts of the user are sent; otherwise only their lengths are."""
    exporter: OtelExporter = OtelExporter()
    """For events, as log records."""
    trace_exporter: OtelExporter = OtelExporter()
    metrics_exporter: OtelExporter = OtelExporter()
    span_attributes: dict[str, str] = field(default_factory=dict)
    """Further attributes of every span."""

    @classmethod
    def plain(cls, table: Table) -> Table:
        return {**table, **{key: _plain_exporter(table[key]) for key in SIGNALS if key in table}}

    @property
    def is_on(self) -> bool:
        """Whether anything is sent."""
        return any(one.is_on for one in (self.exporter, self.trace_exporter, self.metrics_exporter))


def _plain_exporter(value: object) -> object:
    """Return the name of an exporter as a table."""
    if not isinstance(value, str):
        return value
    return {} if value in OFF else {value: {}} if value in ("otlp-http", "otlp-grpc") else value


def otel_settings(home: str, cli_overrides: Sequence[str]) -> OtelTable:
    """Return what the file says about telemetry. Raises `ConfigError`."""
    file = layered(home, map(parse_assignment, cli_overrides))
    return check(OtelTable, file.get(KEY, {}), (KEY,))


def with_variables(headers: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """Return headers with the variables in their values replaced.

    Raises `ConfigError` for a variable that is not set, and for a value that no header can have.
    """

    def value_of(found: re.Match[str]) -> str:
        if found[1] not in environment:
            raise ConfigError(f"a header of an exporter in `[{KEY}]` names the variable {found[1]}, which is not set")
        return environment[found[1]]

    replaced = {name.lower(): _VARIABLE.sub(value_of, value).strip() for name, value in headers.items()}
    for name, value in replaced.items():
        if not (value.isascii() and value.isprintable()):  # what sends it would quote it in an error
            raise ConfigError(f"the header `{name}` of an exporter in `[{KEY}]` has characters that no header may have")
    return replaced

"""A host as a process that serves over HTTP too (`tests.support.host`)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from greenroom.supervisor.frontend.http.token_file import token_path
from tests.support.deadline import until
from tests.support.host import TIMEOUT, Host, hosting
from tests.support.stage import Stage

_URL = re.compile(r"MCP over HTTP at (\S+), with the bearer token in (\S+)")


@dataclass(frozen=True)
class HttpHost:
    """A host, and what it says of where it listens."""

    host: Host
    url: str
    token_file: Path

    @property
    def token(self) -> str:
        return self.token_file.read_text().strip()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@contextmanager
def hosting_http(stage: Stage, *arguments: str) -> Iterator[HttpHost]:
    """Start a host that serves over HTTP at any port, and end it."""
    with hosting(stage, "--http", "0", *arguments) as host:
        until(lambda: _URL.search(_told(host)) or host.process.poll() is not None, TIMEOUT)
        found = _URL.search(_told(host))
        assert found is not None, _told(host)
        served = HttpHost(host, found[1], Path(found[2]))
        assert found[2] == token_path(str(stage.home.path))
        yield served


def _told(host: Host) -> str:
    return host.log.read_text(errors="replace")

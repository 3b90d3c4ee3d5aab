"""The issuer is talked to over TLS, and only one that the machine trusts."""

from collections.abc import Iterator

import pytest

from greenroom.broker.clock import Clock
from greenroom.broker.token_issuer.classify import RefreshAnswered, Unreached
from greenroom.broker.token_issuer.client import Issuer
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.protocol.secrecy import Secret
from greenroom.runtime.http import tls_context
from tests.broker.issuer import CERTIFICATE, MockIssuer
from tests.support.loop import on_loop


@pytest.fixture(autouse=True)
def _fresh_certificates() -> Iterator[None]:
    """Let the certificates be read anew, and forget them afterwards."""
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


@on_loop
@pytest.mark.parametrize("trusted", [True, False])
async def test_the_issuer_is_verified(monkeypatch: pytest.MonkeyPatch, trusted: bool) -> None:
    """Even if the HTTP library was imported without certificates, as the fork server does."""
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", CERTIFICATE)
    async with MockIssuer(tls=True) as issuer:
        answer = await Issuer(IssuerEndpoints.of(issuer.url), Clock()).refresh(Secret(issuer.grant()))
        if trusted:
            assert isinstance(answer, RefreshAnswered)
        else:
            assert answer == Unreached("ClientConnectorCertificateError")
        assert len(issuer.refreshes) == int(trusted)

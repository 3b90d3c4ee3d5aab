"""The login page trusts no request without proof and reveals nothing (docs/security.md, K32)."""

from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.claims import Claims
from greenroom.broker.login.page import Exchange, LoginEnded, LoginPage, PageRequest, PageResponse, new_state
from greenroom.broker.token_issuer.endpoints import IssuerEndpoints
from greenroom.broker.token_issuer.pkce import Verifier
from greenroom.protocol.secrecy import Secret

HOST = "localhost:1455"
STATE = "test_state_123"
SETUP = Claims(plan_type="team", organization_id="org", project_id="p", needs_setup=True)


def key_of(moved: PageResponse) -> str:
    assert moved.location is not None
    return parse_qs(urlsplit(moved.location).query)["key"][0]


def page(issuer: str | None = None) -> LoginPage:
    return LoginPage(IssuerEndpoints.of(issuer), 1455, STATE, Verifier.of(bytes(range(64))))


def ask(asked: LoginPage, path: str, host: str = HOST, origin: str | None = None, **query: str) -> object:
    return asked.receive(PageRequest(path, query, host, origin))


def test_the_address_has_its_parameters_in_order() -> None:
    """The issuer gets what the reference sends it."""
    url = page().url
    assert url.startswith("https://auth.openai.com/oauth/authorize?response_type=code&client_id=app_")
    query = parse_qs(urlsplit(url).query)
    assert list(query) == [
        "response_type",
        "client_id",
        "redirect_uri",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "id_token_add_organizations",
        "codex_cli_simplified_flow",
        "state",
        "originator",
    ]
    assert query["redirect_uri"] == ["http://localhost:1455/auth/callback"]
    assert "scope=openid%20profile%20email%20offline_access" in url


def test_pkce() -> None:
    """RFC 7636, appendix B, and the lengths that the issuer expects."""
    verifier = Verifier(Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"))
    assert verifier.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert len(Verifier.of(bytes(64)).secret.reveal()) == 86
    assert len(new_state(bytes(32))) == 43


@pytest.mark.parametrize(
    "host", ["", "localhost", "localhost:1456", "evil.example:1455", "localhost:1455.evil.example"]
)
@pytest.mark.parametrize("path", ["/auth/callback", "/success", "/cancel"])
def test_another_host_name_is_refused(host: str, path: str) -> None:
    """K32: a name that was made to point here does not get in."""
    assert ask(page(), path, host, code="c", state=STATE) == PageResponse(400, "Bad Request")


@pytest.mark.parametrize("host", ["localhost:1455", "127.0.0.1:1455", "[::1]:1455"])
def test_our_host_names(host: str) -> None:
    assert isinstance(ask(page(), "/auth/callback", host, code="c", state=STATE), Exchange)


@pytest.mark.parametrize("state", ["", "other", "test_state_12", "tést"])
def test_a_wrong_state_is_refused_and_ends_nothing(state: str) -> None:
    asked = page()
    assert ask(asked, "/auth/callback", code="c", state=state) == PageResponse(400, "State mismatch")
    assert isinstance(ask(asked, "/auth/callback", code="c", state=STATE), Exchange)


def test_a_right_state_counts_once() -> None:
    """K32."""
    asked = page()
    assert isinstance(ask(asked, "/auth/callback", code="c", state=STATE), Exchange)
    assert ask(asked, "/auth/callback", code="c", state=STATE) == PageResponse(400, "State mismatch")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "Missing authorization code. Sign-in could not be completed."),
        ({"code": ""}, "Missing authorization code. Sign-in could not be completed."),
        ({"error": "access_denied"}, "Sign-in failed: access_denied"),
        ({"error": "x", "error_description": "<b>no</b>", "code": "c"}, "Sign-in failed: <b>no</b>"),
    ],
)
def test_an_error_ends_the_login(query: dict[str, str], text: str) -> None:
    """K32, scenario 39."""
    ended = ask(page(), "/auth/callback", state=STATE, **query)
    assert isinstance(ended, LoginEnded)
    assert ended.error == text
    assert ended.response.status == 400
    assert "<b>" not in ended.response.body


def test_a_workspace_without_access_is_told_so() -> None:
    ended = ask(
        page(), "/auth/callback", state=STATE, error="access_denied", error_description="missing_codex_entitlement"
    )
    assert isinstance(ended, LoginEnded)
    assert "administrator" in ended.error


def test_success_is_shown_only_after_it() -> None:
    """K32, scenario 55: and neither address nor page holds a token."""
    asked = page()
    assert ask(asked, "/success") == PageResponse(404, "Not Found")
    assert ask(asked, "/setup") == PageResponse(404, "Not Found")
    ask(asked, "/auth/callback", code="c", state=STATE)
    assert ask(asked, "/success") == PageResponse(404, "Not Found")
    moved = asked.saved(Secret("id-token-secret"), Claims())
    assert isinstance(moved, PageResponse)
    assert moved.location is not None
    assert moved.location.startswith("http://localhost:1455/success?key=")
    shown = ask(asked, "/success", needs_setup="true", platform_url="https://evil.example", key=key_of(moved))
    assert isinstance(shown, PageResponse)
    assert shown.status == 200
    assert "secret" not in shown.body
    assert "evil" not in shown.body
    assert asked.is_served


@pytest.mark.parametrize(
    ("issuer", "platform"),
    [(None, "https://platform.openai.com"), ("http://127.0.0.1:9", "https://platform.api.openai.org")],
)
def test_a_setup_is_finished_on_the_right_platform(issuer: str | None, platform: str) -> None:
    """K32: only one of two origins, never one from a query."""
    asked = page(issuer)
    key = key_of(asked.saved(Secret("the-id-token"), SETUP))
    shown = ask(asked, "/success", key=key)
    assert isinstance(shown, PageResponse)
    assert "/setup" in shown.body
    assert bool(asked.is_served) is False
    moved = ask(asked, "/setup", platform_url="https://evil.example", key=key)
    assert isinstance(moved, PageResponse)
    assert moved.location == f"{platform}/org-setup?p=team&t=the-id-token&with_org=org&project_id=p"
    assert asked.is_served
    assert "the-id-token" not in repr(moved)


def test_cancelling_from_a_web_page_is_refused() -> None:
    """K32."""
    assert ask(page(), "/cancel", origin="https://evil.example") == PageResponse(403, "Forbidden")
    ended = ask(page(), "/cancel")
    assert isinstance(ended, LoginEnded)
    assert (ended.error, ended.response.status) == ("Login cancelled", 200)


@pytest.mark.parametrize("path", ["", "/", "/favicon.ico", "/auth/callback/", "/../success"])
def test_there_is_nothing_else(path: str) -> None:
    assert ask(page(), path) == PageResponse(404, "Not Found")


@given(st.text(), st.dictionaries(st.text(), st.text()), st.text(), st.none() | st.text())
def test_no_request_gets_anywhere_without_the_state(
    path: str, query: dict[str, str], host: str, origin: str | None
) -> None:
    query.pop("state", None)
    for name in (host, HOST):
        answer = page().receive(PageRequest(path, query, name, origin))
        assert isinstance(answer, PageResponse | LoginEnded)
        assert not isinstance(answer, LoginEnded) or path == "/cancel"


def saved(claims: Claims) -> tuple[LoginPage, str]:
    asked = page()
    ask(asked, "/auth/callback", code="c", state=STATE)
    return asked, key_of(asked.saved(Secret("the-id-token"), claims))


@pytest.mark.parametrize("claims", [Claims(), SETUP], ids=["complete", "to be set up"])
@pytest.mark.parametrize("path", ["/success", "/setup"])
@pytest.mark.parametrize("key", [None, "", "0" * 64, STATE, "another login's"])
def test_nobody_else_sees_what_follows_the_callback(claims: Claims, path: str, key: str | None) -> None:
    """Another user of the machine may ask for any path while the browser is on its way."""
    asked, _ = saved(claims)
    if key == "another login's":
        other = LoginPage(IssuerEndpoints.of(None), 1455, STATE, Verifier.of(bytes(range(1, 65))))
        key = key_of(other.saved(Secret("x"), claims))
    answer = ask(asked, path, **({} if key is None else {"key": key}))
    assert answer == PageResponse(404, "Not Found")
    assert not asked.is_served


@pytest.mark.parametrize("path", ["/auth/callback", "/success", "/setup", "/cancel", "/"])
@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "DELETE"])
def test_there_is_one_method(path: str, method: str) -> None:
    asked = page()
    request = PageRequest(path, {"code": "c", "state": STATE}, HOST, method=method)
    assert asked.receive(request) == PageResponse(405, "Method Not Allowed")
    assert isinstance(ask(asked, "/auth/callback", code="c", state=STATE), Exchange)


@pytest.mark.parametrize(
    ("origin", "site", "is_browser", "ends"),
    [
        (None, None, False, True),  # another program of this family, which wants the port
        (None, "same-origin", True, True),
        (None, "none", True, True),  # typed into the address bar
        (None, "cross-site", True, False),
        (None, "same-site", True, False),
        (None, "", False, False),
        (None, "nonsense", False, False),
        (None, None, True, False),  # a browser that does not tell whose page has asked
        ("https://evil.example", "same-origin", True, False),
        ("null", None, False, False),
    ],
)
def test_only_our_own_page_or_another_program_ends_a_login(
    origin: str | None, site: str | None, is_browser: bool, ends: bool
) -> None:
    request = PageRequest("/cancel", {}, HOST, origin, fetch_site=site, is_browser=is_browser)
    answer = page().receive(request)
    assert isinstance(answer, LoginEnded) is ends
    assert ends or answer == PageResponse(403, "Forbidden")

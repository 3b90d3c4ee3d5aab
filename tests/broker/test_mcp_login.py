"""Logins of MCP servers: from the browser to the file, and what is refused on the way."""

import asyncio
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.login.page import PageRequest, PageResponse
from greenroom.broker.mcp_login.flow import McpLoginFlow
from greenroom.broker.mcp_login.issuer import LoginError
from greenroom.broker.mcp_login.metadata import (
    MetadataError,
    is_safe,
    issuer_places,
    read_challenge,
    read_issuer,
    read_resource,
    resource_places,
    url_origin,
)
from greenroom.broker.mcp_login.page import CallbackPage, Returned
from greenroom.broker.mcp_login.record import Login, credential_key
from greenroom.broker.mcp_login.store import KEYRING_SECONDS, LoginsStore, LoginStoreError
from greenroom.config.mcp_logins import LoginStore
from greenroom.supervisor.cli import mcp_login
from tests.broker.keyrings import ABSENT, MemoryKeyring
from tests.broker.mcp_servers import NAME, Guarded, Served, stored

URL = "https://mcp.example/tools"
RESOURCE = {"resource": URL, "authorization_servers": ["https://auth.example/x"]}
ISSUER = {
    "issuer": "https://auth.example/x",
    "authorization_endpoint": "https://auth.example/authorize",
    "token_endpoint": "https://tokens.example/token",
    "code_challenge_methods_supported": ["plain", "S256"],
}


def configured(home: Any, guarded: Guarded, more: str = "") -> str:
    (home / "config.toml").write_text(guarded.config + more)
    return str(home)


def test_a_login_is_stored_for_the_user_alone_and_can_be_taken_back(tmp_path: Any, capsys: Any) -> None:
    with Served() as served:
        home, guarded = configured(tmp_path, served.guarded), served.guarded
        (tmp_path / ".credentials.json").write_text('{"other|0": {"access_token": "theirs", "odd": [1]}}')
        assert mcp_login.log_in(home, NAME, open_url=served.open_url) == 0
        asked = dict(guarded.asked)
        assert asked["authorize"]["code_challenge_method"] == "S256"
        assert (asked["authorize"]["resource"], asked["authorize"]["scope"]) == (guarded.url, "read")
        assert asked["register"]["redirect_uris"] == [asked["authorize"]["redirect_uri"]]
        records = stored(tmp_path)
        record = records[credential_key(NAME, guarded.url)]
        assert (record["server_name"], record["server_url"], record["scopes"]) == (NAME, guarded.url, ["read"])
        assert record["access_token"] in guarded.valid
        assert records["other|0"] == {"access_token": "theirs", "odd": [1]}
        assert stat.S_IMODE(os.stat(tmp_path / ".credentials.json").st_mode) == 0o600
        shown = capsys.readouterr()
        assert record["access_token"] not in shown.out + shown.err
        assert mcp_login.show_list(home) == 0
        assert "o_auth" in capsys.readouterr().out

        assert mcp_login.mcp_logout(home, NAME) == 0
        assert stored(tmp_path).keys() == {"other|0"}
        assert guarded.asked[-1] == (
            "revoke",
            {"token": record["refresh_token"], "token_type_hint": "refresh_token", "client_id": "client-1"},
        )
        assert mcp_login.show_list(home, as_json=True) == 0
        assert "not_logged_in" in capsys.readouterr().out


def test_the_key_of_a_record_is_that_of_codex() -> None:
    import hashlib

    text = '{"type":"http","url":"https://x/mcp","headers":{}}'
    assert credential_key("a", "https://x/mcp") == f"a|{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@pytest.mark.parametrize(
    ("more", "scopes", "client", "scope", "registered"),
    [
        ("[mcp_servers.docs.oauth]\nclient_id = 'client-1'", (), "client-1", "read", 0),
        ("scopes = ['a', 'b']", (), "client-1", "a b", 1),
        ("scopes = ['a', 'b']", ("c",), "client-1", "c", 1),
    ],
)
def test_the_configuration_and_the_command_say_what_is_asked_for(
    tmp_path: Any, more: str, scopes: tuple[str, ...], client: str, scope: str, registered: int
) -> None:
    with Served() as served:
        home = configured(tmp_path, served.guarded, more)
        assert mcp_login.log_in(home, NAME, scopes, open_url=served.open_url) == 0
        asked = dict(served.guarded.asked)["authorize"]
        assert (asked["client_id"], asked["scope"]) == (client, scope)
        assert served.guarded.count("register") == registered


@pytest.mark.parametrize(
    ("name", "table", "text"),
    [
        ("nosuch", "", "No MCP server named 'nosuch' found; there are `docs`, `prog`, `token`"),
        ("prog", "", "only servers with a `url` have a login"),
        ("token", "", "is configured with a token"),
    ],
)
def test_what_has_no_login_is_said(tmp_path: Any, capsys: Any, name: str, table: str, text: str) -> None:
    more = '[mcp_servers.prog]\ncommand = "x"\n[mcp_servers.token]\nurl = "https://x"\nbearer_token_env_var = "T"'
    guarded = Guarded()
    guarded.origin = "https://mcp.example"
    assert mcp_login.log_in(configured(tmp_path, guarded, more), name) == 1
    assert text in capsys.readouterr().err


def lie(which: str, **members: Any) -> Callable[[Guarded], None]:
    return lambda guarded: guarded.lies[which].update(members)


def redirect(guarded: Guarded) -> None:
    guarded.redirects_metadata_to = "http://127.0.0.1:9/elsewhere"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lie("resource", resource="https://mcp.example/mcp"), "about another resource"),
        (lie("resource", authorization_servers=["http://evil.example"]), "not safe: 'http://evil.example'"),
        (lie("resource", authorization_servers=[]), "names no authorization server"),
        (lie("issuer", issuer="https://other.example"), "says that it is 'https://other.example'"),
        (lie("issuer", token_endpoint="http://evil.example/token"), "token endpoint has an address that is not safe"),
        (lie("issuer", authorization_endpoint="javascript:alert(1)"), "authorization endpoint has an address that is"),
        (lie("issuer", code_challenge_methods_supported=["plain"]), "PKCE with S256"),
        (lie("issuer", code_challenge_methods_supported=None), "PKCE with S256"),
        (lie("issuer", token_endpoint=None), "names no endpoints"),
        (redirect, "neither the server nor an authorization server says how to log in"),
    ],
)
def test_hostile_metadata_ends_a_login_before_the_browser_opens(
    tmp_path: Any, capsys: Any, spoil: Callable[[Guarded], None], text: str
) -> None:
    opened: list[str] = []
    with Served() as served:
        spoil(served.guarded)
        assert mcp_login.log_in(configured(tmp_path, served.guarded), NAME, open_url=opened.append) == 1
        assert text in capsys.readouterr().err
        assert (opened, served.guarded.count("register")) == ([], 0)
    assert not (tmp_path / ".credentials.json").exists()


def test_the_page_lets_nobody_else_finish_a_login(tmp_path: Any) -> None:
    """A wrong state, issuer, host or path is refused, and the login can still succeed."""

    async def scene() -> None:
        async with Guarded() as guarded:
            from greenroom.config.mcp_logins import mcp_logins

            server = mcp_logins(configured(tmp_path, guarded)).servers[NAME]
            flow = await McpLoginFlow.open(server)
            try:
                running = asyncio.create_task(flow.run())
                for wrong in ({"state": "x"}, {"iss": "https://evil.example"}):
                    guarded.callback = wrong
                    assert (await guarded.browse(flow.url))[0] == 400
                async with aiohttp.ClientSession() as session:
                    port = flow._server.port
                    rebound = {"Host": f"evil.example:{port}"}
                    async with session.get(f"http://127.0.0.1:{port}/callback?code=x", headers=rebound) as response:
                        assert response.status == 400
                    async with session.get(f"http://127.0.0.1:{port}/other") as response:
                        assert response.status == 404
                assert not running.done()
                guarded.callback = {}
                assert (await guarded.browse(flow.url))[0] == 200
                _, grant = await running
                assert grant.access_token.reveal() in guarded.valid
                assert (await guarded.browse(flow.url))[0] == 400, "a state counts once"
            finally:
                await flow.close()

    asyncio.run(scene())


def test_a_refusal_in_the_browser_ends_the_login(tmp_path: Any) -> None:
    async def scene() -> None:
        async with Guarded() as guarded:
            from greenroom.config.mcp_logins import mcp_logins

            flow = await McpLoginFlow.open(mcp_logins(configured(tmp_path, guarded)).servers[NAME])
            try:
                guarded.callback = {"error": "access_denied", "error_description": "<b>no</b>"}
                status, body = await guarded.browse(flow.url)
                assert (status, "<b>" in body) == (400, False)
                with pytest.raises(LoginError, match="the login was refused: <b>no</b>"):
                    await flow.run()
            finally:
                await flow.close()

    asyncio.run(scene())


@pytest.fixture
def backend() -> Iterator[MemoryKeyring]:
    """A keyring of this process."""
    before, made = keyring.get_keyring(), MemoryKeyring()
    keyring.set_keyring(made)
    yield made
    made.open.set()
    keyring.set_keyring(before)


@pytest.mark.parametrize("kind", ["auto", "keyring"])
def test_a_keyring_keeps_logins_where_it_is_wanted(tmp_path: Any, backend: MemoryKeyring, kind: LoginStore) -> None:
    store, login = LoginsStore(str(tmp_path), kind), Login({"access_token": "a", "odd": {"x": 1}})
    asyncio.run(store.write("k|1", login))
    assert backend.entries == {("Codex MCP Credentials", "k|1"): '{"access_token":"a","odd":{"x":1}}'}
    assert not (tmp_path / ".credentials.json").exists()
    found = store.read("k|1")
    assert found is not None
    assert found.members == login.members
    assert LoginsStore(str(tmp_path), "file").read("k|1") is None
    assert asyncio.run(store.remove("k|1"))
    assert (backend.entries, store.read("k|1")) == ({}, None)


def test_a_keyring_is_not_asked_for_every_request(
    tmp_path: Any, backend: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, now = LoginsStore(str(tmp_path), "auto"), [100.0]
    monkeypatch.setattr("greenroom.broker.mcp_login.store.time.monotonic", lambda: now[0])
    assert store.read("k|1", anew=False) is None
    backend.entries["Codex MCP Credentials", "k|1"] = '{"access_token":"a"}'
    assert store.read("k|1", anew=False) is None
    now[0] += KEYRING_SECONDS
    assert store.read("k|1", anew=False) is not None
    backend.entries.clear()
    assert store.read("k|1", anew=False) is not None
    assert store.read("k|1") is None


def test_without_a_keyring_the_file_is_used_or_the_fault_told(tmp_path: Any, backend: MemoryKeyring) -> None:
    backend.failure = ABSENT
    login = Login({"access_token": "a"})
    store = LoginsStore(str(tmp_path), "auto")
    asyncio.run(store.write("k|1", login))
    assert stored(tmp_path) == {"k|1": {"access_token": "a"}}
    backend.failure = None
    asyncio.run(store.write("k|1", Login({"access_token": "b"})))
    assert stored(tmp_path) == {"k|1": {"access_token": "b"}}, "a login stays where it is"
    backend.failure = ABSENT
    with pytest.raises(LoginStoreError):
        asyncio.run(LoginsStore(str(tmp_path), "keyring").write("k|1", login))


# Free of I/O


def test_an_issuer_that_says_it_names_itself_has_to() -> None:
    page = CallbackPage(7, "s", "https://auth.example", names_itself=True, callback_url=None)
    asked = {"state": "s", "code": "c"}
    without = page.receive(PageRequest("/callback", asked, "127.0.0.1:7"))
    assert isinstance(without, PageResponse)
    assert without.status == 400
    assert isinstance(
        page.receive(PageRequest("/callback", {**asked, "iss": "https://auth.example"}, "127.0.0.1:7")), Returned
    )


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (PageRequest("/callback", {"state": "s", "code": "c"}, "evil.example:7"), 400),
        (PageRequest("/callback", {"state": "s", "code": "c"}, ""), 400),
        (PageRequest("/callback", {"state": "s", "code": "c"}, "127.0.0.1:8"), 400),
        (PageRequest("/callback", {"state": "t", "code": "c"}, "127.0.0.1:7"), 400),
        (PageRequest("/callback", {"code": "c"}, "127.0.0.1:7"), 400),
        (PageRequest("/callback", {"state": "s", "code": "c", "iss": "j"}, "127.0.0.1:7"), 400),
        (PageRequest("/", {"state": "s", "code": "c"}, "127.0.0.1:7"), 404),
    ],
)
def test_what_is_not_the_answer_to_this_login_ends_nothing(request_: PageRequest, status: int) -> None:
    page = CallbackPage(7, "s", "i", names_itself=False, callback_url=None)
    answer = page.receive(request_)
    assert isinstance(answer, PageResponse)
    assert answer.status == status
    assert isinstance(page.receive(PageRequest("/callback", {"state": "s", "code": "c"}, "localhost:7")), Returned)


def test_a_callback_elsewhere_is_used_as_configured() -> None:
    page = CallbackPage(7, "s", "i", names_itself=False, callback_url="https://me.example/back")
    assert page.redirect_uri == "https://me.example/back"
    assert isinstance(page.receive(PageRequest("/back", {"state": "s", "code": "c"}, "me.example")), Returned)


def test_metadata_is_looked_for_where_it_has_to_be() -> None:
    named = "https://mcp.example/meta"
    assert resource_places(URL, named)[0] == named
    for elsewhere in ("https://evil.example/meta", "http://mcp.example/meta", "https://mcp.example:444/meta", "x"):
        assert resource_places(URL, elsewhere) == resource_places(URL, None)
    assert resource_places(URL, None) == [
        "https://mcp.example/.well-known/oauth-protected-resource/tools",
        "https://mcp.example/.well-known/oauth-protected-resource",
    ]
    assert issuer_places("https://auth.example/x") == [
        "https://auth.example/.well-known/oauth-authorization-server/x",
        "https://auth.example/.well-known/openid-configuration/x",
        "https://auth.example/x/.well-known/openid-configuration",
    ]
    assert len(issuer_places("https://auth.example")) == 2


def test_sound_metadata_is_taken() -> None:
    assert read_resource(URL, RESOURCE).issuer == "https://auth.example/x"
    assert read_resource(URL, {**RESOURCE, "resource": "https://mcp.example"}).resource == "https://mcp.example"
    assert read_issuer("https://auth.example/x", URL, ISSUER).token_endpoint == "https://tokens.example/token"
    challenge = read_challenge('Bearer error="insufficient_scope", scope="a b", resource_metadata="https://x/y"')
    assert (challenge.error, challenge.scope, challenge.resource_metadata) == (
        "insufficient_scope",
        "a b",
        "https://x/y",
    )
    assert read_challenge('Basic realm="x"').scope is None


@pytest.mark.parametrize(
    "resource", ["https://mcp.example/too", "https://mcp.example/tools/deeper", "http://mcp.example/tools", 5]
)
def test_metadata_about_something_else_is_refused(resource: object) -> None:
    with pytest.raises(MetadataError, match="another resource"):
        read_resource(URL, {**RESOURCE, "resource": resource})


@pytest.mark.parametrize(
    ("address", "server", "safe"),
    [
        ("https://a.example", URL, True),
        ("http://a.example", URL, False),
        ("http://127.0.0.1:5", URL, False),
        ("http://localhost:5", "http://127.0.0.1:6", True),
        ("http://a.example", "http://127.0.0.1:6", False),
        ("https://user@a.example", URL, False),
        ("file:///etc/passwd", URL, False),
    ],
)
def test_secrets_travel_with_tls_or_on_this_machine(address: str, server: str, safe: bool) -> None:
    assert is_safe(address, server) is safe


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(URL) | st.just("https://[x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*RESOURCE, *ISSUER]), inner),
)


@given(values, values, st.text())
def test_any_metadata_is_taken_or_refused(document: object, more: object, header: str) -> None:
    read_challenge(header)
    url_origin(header)
    for read in (lambda: read_resource(URL, document), lambda: read_issuer("https://auth.example/x", URL, more)):
        try:
            read()
        except MetadataError as error:
            assert len(str(error)) < 500

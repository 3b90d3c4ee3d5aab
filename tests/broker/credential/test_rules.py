"""What an administrator does not allow is neither begun nor served, and nothing is removed because of it."""

from typing import Any

import pytest

from greenroom.broker.credential.credential import SIGNED_OUT, Credential, CredentialOwner
from greenroom.broker.credential.rules import ANY_LOGIN, LoginRules
from greenroom.protocol.internal.broker.answers import AuthError
from greenroom.protocol.secrecy import Secret
from tests.broker.homes import Parts, read, tokens, write
from tests.broker.issuer import ACCOUNT
from tests.support.loop import on_loop

KEY = Credential("apikey", Secret("sk-1"), identity=CredentialOwner("apikey"))
MINE = Credential("chatgpt", Secret("t"), identity=CredentialOwner("chatgpt", "acc-1"))
UNKNOWN = Credential("chatgpt", Secret("t"), identity=CredentialOwner("chatgpt"))


@pytest.mark.parametrize(
    ("rules", "allowed", "refused"),
    [
        (ANY_LOGIN, [KEY, MINE, UNKNOWN, SIGNED_OUT], []),
        (LoginRules("api"), [KEY, SIGNED_OUT], [MINE, UNKNOWN]),
        (LoginRules("chatgpt"), [MINE, UNKNOWN, SIGNED_OUT], [KEY]),
        (LoginRules(None, ("acc-1",)), [KEY, MINE], [UNKNOWN]),
        (LoginRules("chatgpt", ("acc-2", "acc-3")), [SIGNED_OUT], [KEY, MINE, UNKNOWN]),
    ],
)
def test_who_may_come_in(rules: LoginRules, allowed: list[Credential], refused: list[Credential]) -> None:
    assert [rules.applied(credential) for credential in allowed] == allowed
    for credential in refused:
        applied = rules.applied(credential)
        assert (applied.mode, applied.bearer, applied.refresh_token) == ("none", None, None)
        assert "`forced_" in str(applied.unusable)


@pytest.mark.parametrize("rules", [LoginRules("api"), LoginRules(None, ("acc-7",))])
def test_a_login_that_is_not_allowed_stays_where_it_is_and_is_not_served(tmp_path: Any, rules: LoginRules) -> None:
    content = tokens("refresh-1", account=ACCOUNT)
    write(str(tmp_path), content)

    @on_loop
    async def scene() -> None:
        parts = Parts(str(tmp_path), rules=rules)
        answer = await parts.get()
        assert isinstance(answer, AuthError)
        assert answer.code == "not_supported"
        assert "`forced_" in str(answer.user_text)
        assert (parts.state, parts.in_force.mode) == ("SIGNED_OUT", "none")

    scene()
    assert read(str(tmp_path)) == content

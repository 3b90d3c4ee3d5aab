"""Claims are read as the reference reads them, and nothing that is sent can break the reading."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.claims import Claims, TokenFormatError, claims_or_none, read_claims
from tests.broker.issuer import AUTH, access_token, id_token, jwt


def test_absent_claims_are_absent() -> None:
    """Scenario 9."""
    claims = read_claims(jwt({"sub": "123"}))
    assert (claims.email, claims.plan_type, claims.subject) == (None, None, "123")


def test_email_and_plan() -> None:
    """Scenario 10."""
    claims = read_claims(id_token(plan="pro", email="user@example.com"))
    assert (claims.email, claims.plan_type, claims.account_id) == ("user@example.com", "pro", "acc-123")


def test_the_profile_stands_in_for_the_email() -> None:
    assert read_claims(jwt({"https://api.openai.com/profile": {"email": "a@b.c"}})).email == "a@b.c"


def test_an_older_user_id_stands_in() -> None:
    assert read_claims(jwt({AUTH: {"user_id": "u"}})).user_id == "u"


@pytest.mark.parametrize(
    ("owner", "done", "needs"), [(True, False, True), (True, True, False), (False, False, False), (None, None, False)]
)
def test_who_has_a_setup_to_finish(owner: bool | None, done: bool | None, needs: bool) -> None:
    auth = {"is_org_owner": owner, "completed_platform_onboarding": done}
    assert read_claims(jwt({AUTH: auth})).needs_setup is needs


def test_an_access_token_tells_its_end() -> None:
    claims = read_claims(access_token(100.0, issued=1000.0))
    assert (claims.expires_at, claims.issued_at) == (1100, -2600)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a..c",
        ".e30.c",
        "a.e30.",
        "a.e30=.c",
        "a.e3 0.c",
        "a.e31.c",
        "a.W10.c",
        "a.!!!!.c",
        jwt({"email": 5}),
        jwt({"exp": "soon"}),
        jwt({AUTH: []}),
    ],
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(TokenFormatError):
        read_claims(token)


@given(st.text() | st.binary().map(lambda data: f"a.{data.hex()}.c"))
def test_any_text_is_a_token_or_is_not(text: str) -> None:
    assert isinstance(claims_or_none(text), Claims)


@given(st.text(min_size=30))
def test_no_complaint_repeats_the_token(text: str) -> None:
    token = f"a.{text}"
    with pytest.raises(TokenFormatError) as caught:
        read_claims(token)
    assert token not in str(caught.value)

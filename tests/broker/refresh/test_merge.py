"""A refresh changes what it brings and nothing else (docs/security.md, K6)."""

import json

from hypothesis import given
from hypothesis import strategies as st

from greenroom.broker.credential.record import AuthRecord
from greenroom.broker.refresh.merge import merge_tokens
from greenroom.broker.token_issuer.classify import RefreshAnswered
from greenroom.protocol.secrecy import Secret
from tests.broker.homes import tokens
from tests.broker.issuer import id_token

RECORD = AuthRecord.read(json.dumps(tokens("refresh-1") | {"later": {"kept": True}}).encode())

some = st.none() | st.builds(Secret, st.text(max_size=5))
people = st.sampled_from([None, "user-1", "user-2"])
accounts = st.sampled_from([None, "acc-123", "acc-2"])


@given(
    some, some, st.none() | st.text(max_size=5) | st.builds(lambda a, u: id_token(a, user=u or ""), accounts, people)
)
def test_what_is_absent_stays_and_what_is_foreign_is_refused(
    access: Secret | None, refresh: Secret | None, identity: str | None
) -> None:
    answer = RefreshAnswered(access, refresh, None if identity is None else Secret(identity))
    result = merge_tokens(RECORD, answer, 0.0)
    old = RECORD.tokens
    assert old is not None
    if result is None:
        assert identity is not None
        assert identity.count(".") == 2
        return
    new = result.tokens
    assert new is not None
    assert new.access_token == (access.reveal() if access else old.access_token)
    assert new.refresh_token == (refresh.reveal() if refresh else old.refresh_token)
    assert new.account_id == "acc-123"
    assert new.claims.user_id in ("user-1", "", None)
    assert result.unknown == RECORD.unknown
    assert AuthRecord.read(result.encoded()) == result


def test_a_record_without_tokens_has_nothing_to_merge() -> None:
    assert merge_tokens(AuthRecord.of_key("sk-1"), RefreshAnswered(Secret("a")), 0.0) is None


def test_another_user_of_the_same_account_is_another_identity() -> None:
    assert merge_tokens(RECORD, RefreshAnswered(Secret("a"), None, Secret(id_token(user="user-2"))), 0.0) is None

"""The record after a refresh (docs/security.md, K6). Free of I/O."""

import logging

import msgspec

from greenroom.broker.credential.claims import Claims, TokenFormatError, read_claims
from greenroom.broker.credential.record import AuthRecord, Tokens
from greenroom.broker.token_issuer.classify import RefreshAnswered

log = logging.getLogger(__name__)


def merge_tokens(record: AuthRecord, answer: RefreshAnswered, now: float) -> AuthRecord | None:
    """Return the record with the members of the answer; others stay. `None` where it is about another account."""
    old = record.tokens
    if old is None:
        return None
    changes: dict[str, str] = {}
    if answer.access_token:
        changes["access_token"] = answer.access_token.reveal()
    if answer.refresh_token:
        changes["refresh_token"] = answer.refresh_token.reveal()
    if answer.id_token:
        try:
            claims = read_claims(answer.id_token.reveal())
        except TokenFormatError:
            log.warning("the issuer sent an id token that cannot be read; the old one is kept")
        else:
            if not _is_about(old, claims):
                return None
            changes["id_token"] = answer.id_token.reveal()
            if claims.account_id:
                changes["account_id"] = claims.account_id
    return record.refreshed(msgspec.structs.replace(old, **changes), now)


def _is_about(old: Tokens, new: Claims) -> bool:
    """Return whether an id token may follow the old one: it must not contradict it."""
    known = old.claims
    pairs = (
        (old.account_id or known.account_id, new.account_id),
        (known.user_id, new.user_id),
        (known.subject, new.subject),
    )
    return all(mine == other for mine, other in pairs if mine and other)

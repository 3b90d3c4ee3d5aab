"""The end of a login at the issuer."""

from greenroom.broker.credential.credential import Credential
from greenroom.broker.token_issuer.client import Issuer


async def revoke_login(issuer: Issuer, credential: Credential) -> bool:
    """Revoke a login, as far as the issuer supports it."""
    if credential.refresh_token:
        return await issuer.revoke(credential.refresh_token, "refresh_token")
    if credential.mode == "chatgpt" and credential.bearer:
        return await issuer.revoke(credential.bearer, "access_token")
    return False

"""The auth broker: the only process that reads `auth.json`, holds refresh tokens and talks to the issuer."""

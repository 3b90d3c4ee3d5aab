"""Refreshes access tokens: timing, execution, and classification of the issuer's answers."""

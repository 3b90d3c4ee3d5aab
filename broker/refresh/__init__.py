"""Refreshes access tokens: when, by whom, and what each answer of the issuer means."""

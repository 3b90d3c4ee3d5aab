"""A crash-isolated host for Codex conversations."""

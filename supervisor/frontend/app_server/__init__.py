"""The protocol of `codex app-server`, as spoken with one client."""

"""The protocol that `codex app-server` speaks: threads, turns and items over JSON-RPC without the member `jsonrpc`."""

"""Logins of MCP servers: issuers, storage, and tokens for workers (docs/decisions/0023-logins-of-mcp-servers.md)."""

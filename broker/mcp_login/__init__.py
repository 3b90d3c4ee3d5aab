"""Logins of MCP servers: who is asked for tokens, where they are kept, and who gets them (decision 23)."""

"""The user's MCP servers within one conversation.

The official client costs most of a second to import and is an optional dependency: only `connection`, and in
`transport` `stdio` and `http`, import it, and `servers` imports those when a conversation has a server to start.
"""

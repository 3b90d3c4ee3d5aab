"""The start and the end of `greenroom mcp-server`, and the one place where its parts are joined."""

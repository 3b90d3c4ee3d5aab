"""The conversation API of 2025 on the connection of the MCP server."""

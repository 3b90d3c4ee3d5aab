"""The MCP servers of threads, as a client asks for them."""

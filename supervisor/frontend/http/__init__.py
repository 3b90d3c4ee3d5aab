"""MCP over Streamable HTTP: the transport of clients that come and go. Imported only where HTTP is on."""

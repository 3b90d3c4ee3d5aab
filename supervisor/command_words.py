"""The words of the command line that matter before it is parsed. Imported first, so it imports nothing."""

SERVER = "mcp-server"
"""The command that starts a server for an MCP client."""
APP_SERVER = "app-server"
"""The command that starts one for a client of the protocol of that name."""
EXEC = "exec"
"""The command that runs one turn."""
GENERATE_SCHEMA = "generate-json-schema"
"""The command below `app-server` that prints schemas instead."""
CONFIG_FLAGS = ("-c", "--config")
"""The flags before a setting. They may also come before the command."""

"""The Model Context Protocol: reading requests and writing results, for every revision."""

"""The MCP front end: tool calls, resources, prompts, completions, the log, and tools about conversations."""

"""What a client finds beside the tools: resources, prompts, completions, the log; and tools for conversations."""

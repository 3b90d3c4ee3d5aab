"""Jobs outside conversations, of which a worker runs one. Each job is a module of its own."""

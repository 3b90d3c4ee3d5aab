"""What a worker does outside all conversations, one thing in its life. Each job is a module of its own."""

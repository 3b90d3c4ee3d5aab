"""What a worker does outside all conversations, one thing in its life. Each errand is a module of its own."""

"""The tools that a conversation offers to the model: what they are called, what they take, what they do."""

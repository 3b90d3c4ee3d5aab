"""The tools that a conversation offers to the model."""

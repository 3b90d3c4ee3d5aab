"""What happens in a conversation, as events in the forms that clients read."""

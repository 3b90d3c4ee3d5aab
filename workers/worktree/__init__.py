"""Git worktrees of conversations: made, found again and removed."""

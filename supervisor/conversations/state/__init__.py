"""What a host keeps of conversations, their turns and their questions."""

"""How conversations, turns, items and questions look in this protocol."""

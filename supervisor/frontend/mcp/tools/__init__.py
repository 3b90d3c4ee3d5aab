"""The tools about conversations and approvals."""

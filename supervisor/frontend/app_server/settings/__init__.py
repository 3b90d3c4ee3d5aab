"""The methods about the configuration, and what they tell of it."""

"""Measures the performance budgets side by side with the reference, against the same scripted model."""

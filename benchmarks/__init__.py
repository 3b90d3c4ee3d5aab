"""Measures the budgets of the design side by side with the reference, against the same scripted model."""

"""Requests to the service that keeps the user's account."""

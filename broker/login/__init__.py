"""Logins in a browser and with a device code."""

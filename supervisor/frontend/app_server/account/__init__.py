"""The account: what the service that keeps it is asked."""

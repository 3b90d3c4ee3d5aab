"""The credential in force and what is known of it."""

"""The stores of credentials: a file, the keyring, or memory."""

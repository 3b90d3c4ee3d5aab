"""The issuer of tokens: its addresses, requests to it, and the meaning of its answers."""

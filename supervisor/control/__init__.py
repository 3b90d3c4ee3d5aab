"""The server side of `greenroom status`: the control socket and what it reports."""

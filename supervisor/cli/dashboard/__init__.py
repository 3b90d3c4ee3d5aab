"""The command `greenroom dashboard`: a page in a browser that shows running instances."""

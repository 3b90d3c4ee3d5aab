"""One turn for a script: the front end of `greenroom exec`, whose client is the command line itself."""

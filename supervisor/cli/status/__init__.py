"""What an instance shows of itself and lets be done to it from outside, and the commands that ask for it."""

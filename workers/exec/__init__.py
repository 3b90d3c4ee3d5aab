"""The commands that the model runs: starting them, keeping their output, describing them."""

"""What the model reads beside the history: context, instructions, skills, and the constant parts of requests."""

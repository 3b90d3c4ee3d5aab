"""Tools of servers: how the model is offered them, their calls, and their results."""

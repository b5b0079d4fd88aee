"""API clients: programs that are registered to ask for tokens."""

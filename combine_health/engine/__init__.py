"""How the checks run and what their results mean: from a declared check to one word for the service."""

"""PostgreSQL itself: a server of our own for development, and why one cannot be used."""

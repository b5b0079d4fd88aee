"""The browser sessions of signed-in users, stored in the database."""

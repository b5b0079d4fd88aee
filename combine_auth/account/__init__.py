"""The account page: a user's identities and sessions."""

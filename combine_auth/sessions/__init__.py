"""Sessions: the browsers in which users are signed in, as rows of the database."""

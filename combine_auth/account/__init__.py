"""The page on which users see who they are, how they sign in, and where they are signed in."""

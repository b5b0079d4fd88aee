"""What happened to accounts and rights: append-only lines for administrators."""

"""Identities: the accounts at providers that sign users in, known by issuer and subject."""

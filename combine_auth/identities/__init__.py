"""The provider accounts that users sign in with, identified by issuer and subject."""

"""The accounts with providers by which people sign in: (issuer, subject), never an e-mail address."""

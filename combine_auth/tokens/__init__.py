"""Personal access tokens, which users create for their programs."""

"""Personal access tokens: keys that people make for their programs."""

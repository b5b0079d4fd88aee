"""The HTTP endpoints: the probes, the full status, metrics and the status page."""

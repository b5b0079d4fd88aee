"""What is answered over HTTP: the probes, the full status, metrics, the status page."""

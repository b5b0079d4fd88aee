"""Runs the declared checks and turns their results into the status of the service."""

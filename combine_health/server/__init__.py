"""Serves an application from an ini file: waitress with a health lane, a queue limit and graceful drain."""

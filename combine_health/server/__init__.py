"""The server for ini files: waitress with a health lane, a bounded queue and a graceful end."""

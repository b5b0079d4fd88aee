"""The server of the ini files: waitress with a health lane, a bounded queue and a drain."""

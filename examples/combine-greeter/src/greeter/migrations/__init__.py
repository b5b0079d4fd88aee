"""The revisions of the add-on's tables."""

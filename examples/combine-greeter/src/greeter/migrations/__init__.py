"""Contains the migrations of the add-on's tables."""

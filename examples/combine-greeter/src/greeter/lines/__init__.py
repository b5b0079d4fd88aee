"""Contains the lines of the add-on and the templates of their documents."""

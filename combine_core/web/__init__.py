"""What the faces share: the API, the pages, and those of other add-ons."""

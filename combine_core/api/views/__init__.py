"""Views translate: a request into a call of a service, what it gives into JSON. They hold no rules."""

"""A WSGI function that returns a fixed response. It measures the cost of waitress itself."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

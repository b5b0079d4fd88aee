"""A WSGI function that answers, and nothing else: what waitress itself costs."""


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]

import uuid

from senex_trader.logs import request_id

POLICY = "; ".join(
    [
        "default-src 'self'",
        # What `default-src` doesn't stand for.
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ]
)


def number_requests(get_response):
    """Each request has an id, the proxy's or a new one, in every line of the log and the answer."""

    def number(request):
        given = request.headers.get("X-Request-ID", "")
        name = given if given.isascii() and 0 < len(given) <= 64 and given.isprintable() else ""
        token = request_id.set(name or uuid.uuid4().hex)
        try:
            response = get_response(request)
            response.headers["X-Request-ID"] = request_id.get()
            return response
        finally:
            request_id.reset(token)

    return number


def content_security_policy(get_response):
    """Scripts, styles and connections are the site's own; nothing inline runs."""

    def add_header(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    return add_header

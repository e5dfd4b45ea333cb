def content_security_policy(get_response):
    """Scripts, styles and connections are the site's own; nothing inline runs."""

    def add_header(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return add_header

from ipaddress import ip_address


def client_address(request):
    """The proxy appends the address that it saw; the client can invent those before it."""
    try:
        return str(
            ip_address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
        )
    except ValueError:
        return request.META.get("REMOTE_ADDR")

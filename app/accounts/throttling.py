from ipaddress import ip_address


def client_address(request):
    """Whom the proxy heard: the last of its list. What stands before is the client's own claim."""
    try:
        return str(
            ip_address(request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip())
        )
    except ValueError:
        return request.META.get("REMOTE_ADDR")

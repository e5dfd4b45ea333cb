from ipaddress import ip_address

from django.conf import settings
from django.http import HttpResponseNotFound
from django_prometheus.exports import ExportToDjangoView

# Set by a proxy: the request comes from outside.
FORWARDED = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"]


def middleware(get_response):
    """Answers /metrics for METRICS_NETWORKS, before the checks of host and scheme."""

    def answer(request):
        if request.path_info != "/metrics":
            return get_response(request)
        return ExportToDjangoView(request) if allowed(request) else HttpResponseNotFound()

    return answer


def allowed(request):
    if any(name in request.headers for name in FORWARDED):
        return False
    address = ip_address(request.META["REMOTE_ADDR"])
    return any(address in network for network in settings.METRICS_NETWORKS)

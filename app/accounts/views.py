from django.contrib.auth.decorators import login_required
from django.http import JsonResponse


@login_required
def broker_accounts(request):
    """The user's accounts by name; a token never leaves the server."""
    names = request.user.broker_accounts.order_by("name").values_list("name", flat=True)
    return JsonResponse({"accounts": list(names)})

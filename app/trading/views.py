from django.contrib.auth.decorators import login_required
from django.shortcuts import render

from trading.models import Position


@login_required
def index(request):
    positions = Position.objects.filter(account__user=request.user).select_related("account")
    return render(request, "trading/index.html", {"positions": positions})

from django.contrib.auth.decorators import login_required
from django.http import Http404, JsonResponse
from django.shortcuts import render
from django.utils import timezone

from trading import broker, expiry, history, valuation
from trading.diagram import payoff
from trading.models import Mark, Position


@login_required
def index(request):
    now = timezone.now()
    positions = list(Position.objects.open().with_legs().filter(owner=request.user))
    prices = {position.underlying.symbol: position.underlying.price for position in positions}
    numbers = valuation.numbers(positions, prices, now)
    lately = lately_by_position(positions)
    rows = []
    for position in positions:
        outcome = expiry.outcome(position.expiry_legs())
        rows.append(
            {
                "position": position,
                "numbers": numbers[position.pk].rounded(),
                "outcome": outcome,
                "diagram": payoff(position, outcome.break_evens, now),
                "lately": lately.get(position.pk),
            }
        )
    net = valuation.net(numbers.values()).rounded()
    return render(request, "trading/index.html", {"rows": rows, "net": net})


def lately_by_position(positions):
    marks = Mark.objects.filter(position__in=positions)
    return history.summary(marks.values_list(*history.COLUMNS))


async def quote(request, symbol):
    """A price from the broker, for whoever asks."""
    if not (symbol.isascii() and symbol.isalpha() and symbol.isupper() and len(symbol) <= 5):
        raise Http404
    now = timezone.now()
    price = await broker.price(symbol, now)
    return JsonResponse({"symbol": symbol, "price": price, "time": now.isoformat()})

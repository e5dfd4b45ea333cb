from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils import timezone

from trading import expiry, history, valuation
from trading.diagram import payoff
from trading.models import Mark, Position

# The latest ones only.
SETTLED = 20


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
    settled = Position.objects.settled().filter(owner=request.user).order_by("-closed_at")
    context = {"rows": rows, "net": net, "settled": settled.select_related("underlying")[:SETTLED]}
    return render(request, "trading/index.html", context)


def lately_by_position(positions):
    marks = Mark.objects.filter(position__in=positions)
    return history.summary(marks.values_list(*history.COLUMNS))

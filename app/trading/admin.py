from django.contrib import admin

from trading.models import OptionLeg, Position, Underlying

admin.site.register(Underlying)


class LegInline(admin.TabularInline):
    model = OptionLeg
    extra = 0


@admin.register(Position)
class PositionAdmin(admin.ModelAdmin):
    list_display = ["name", "underlying", "owner", "expires_on", "closed_at", "settled_profit"]
    list_select_related = ["underlying", "owner"]
    inlines = [LegInline]

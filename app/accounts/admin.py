from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from accounts.models import BrokerCredential, Statement, User

admin.site.register(User, UserAdmin)


@admin.register(BrokerCredential)
class BrokerCredentialAdmin(admin.ModelAdmin):
    list_display = ["name", "user", "balance_at"]
    list_select_related = ["user"]


@admin.register(Statement)
class StatementAdmin(admin.ModelAdmin):
    """To find and delete them; the file itself is for its owner alone."""

    list_display = fields = readonly_fields = ["name", "credential", "uploaded_at"]

    def has_add_permission(self, request):
        return False

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from accounts import views

urlpatterns = [
    path("", views.index, name="accounts"),
    path("add/", views.add_credential, name="add-credential"),
    path("<int:credential_id>/refresh/", views.refresh, name="refresh-balance"),
    path("statements/add/", views.add_statement, name="add-statement"),
    path("statements/<int:statement_id>/", views.statement, name="statement"),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
]

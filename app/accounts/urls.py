from django.contrib.auth.views import LogoutView
from django.urls import path

from accounts import views

app_name = "accounts"

urlpatterns = [
    path("", views.index, name="index"),
    path("add/", views.add_credential, name="add"),
    path("<int:pk>/change/", views.ChangeCredential.as_view(), name="change"),
    path("<int:pk>/delete/", views.DeleteCredential.as_view(), name="delete"),
    path("<int:pk>/refresh/", views.refresh, name="refresh"),
    path("statements/add/", views.add_statement, name="add-statement"),
    path("statements/<int:pk>/", views.statement, name="statement"),
    path("statements/<int:pk>/change/", views.ChangeStatement.as_view(), name="change-statement"),
    path("statements/<int:pk>/delete/", views.DeleteStatement.as_view(), name="delete-statement"),
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", views.ChangePassword.as_view(), name="password"),
]

from django.urls import path

from trading import views

urlpatterns = [
    path("", views.index, name="index"),
    path("quote/<str:symbol>/", views.quote, name="quote"),
]

from django.urls import path

from trading import views

urlpatterns = [path("", views.index, name="index")]

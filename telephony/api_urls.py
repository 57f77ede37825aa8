"""Addresses about calls that programs use."""

from django.urls import path

from telephony.views import webhook

urlpatterns = [path("events/<str:key>/", webhook.events, name="call-events")]

"""The RingCentral side."""

from django.apps import AppConfig


class TelephonyConfig(AppConfig):
    name = "telephony"
    verbose_name = "Calls"

    def ready(self) -> None:
        from portal.connections import removing
        from telephony import webhook

        removing.connect(webhook.connection_is_removed, dispatch_uid="telephony.webhook.connection_is_removed")

"""The webhook subscription: made, looked after once an hour, ended; and what an event does, which is very little.

RingCentral delivers each event once and stops for good when the receiver fails, and it tells of no gap. So the poll
stays the truth: an event only makes the next reading of the log come sooner.
"""

from __future__ import annotations

import datetime as dt
import hmac
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.http.request import validate_host
from django.urls import reverse
from django.utils import timezone

from portal import audit, connections, notices
from portal.access import Person
from portal.models import Connection
from portal.queries import WITHOUT_SECRETS
from portal.remote import errors, redact
from portal.remote.addresses import LOOPBACK
from portal.remote.errors import Advice
from telephony import sooner
from telephony.models import Call, Subscription
from telephony.ringcentral.client import RingCentralClient
from telephony.ringcentral.records import SubscriptionRow

logger = logging.getLogger(__name__)

State = Subscription.State
FILTERS = ("/restapi/v1.0/account/~/telephony/sessions",)
ACTIVE = "Active"
RENEW_BEFORE = dt.timedelta(days=2)
# A little less than the hour in which the task comes around.
MADE_ANEW_AT_MOST_EVERY = dt.timedelta(minutes=55)
# A second click must not make a second subscription while the first one is being made.
BY_HAND_AT_MOST_EVERY = dt.timedelta(seconds=15)
TOLD_AFTER = dt.timedelta(hours=2)
SILENCE = dt.timedelta(days=1)
# More events than these in a minute are not counted: a second's worth of them asks for the same reading.
MOST_PER_MINUTE = 1200
SECOND = dt.timedelta(seconds=1)
# What a look at the subscription may change.
SEEN = ("state", "reason", "rc_id", "key", "address", "expires_at", "checked_at", "tried_at", "failing_since")
# Codes of a party whose call goes on (telephony-session events of RingCentral's guide); any other may be an end.
GOING_ON = frozenset({"Setup", "Proceeding", "Answered", "Hold", "Parked", "VoiceMailScreening"})
NOT_MADE = Advice("RingCentral has not made it yet.", "Nothing to do: it is tried at once, then every hour.")
# RingCentral's codes of refused subscriptions. Of most the reference says the topic only: reach, HTTPS, response …
CODES: dict[str, Advice] = {
    "SUB-406": Advice(
        "RingCentral does not offer telephone events to this account.", "Ask RingCentral, or do without the webhook."
    ),
    "SUB-505": Advice(
        "The application has as many subscriptions as RingCentral allows (30 of one user and application).",
        "End those that nobody uses in the program that made them, or give the portal an application of its own.",
    ),
    "SUB-508": Advice(
        "RingCentral does not accept the subscription to telephone sessions.",
        "Add the permission Call Control to the application in the Developer Console.",
    ),
    "SUB-520": Advice("RingCentral does not accept the verification token.", "Try again: each time has a new one."),
    "SUB-521": Advice(
        "RingCentral cannot reach the portal's address.",
        "Check that PUBLIC_URL opens from outside your network (name, firewall, proxy), with a valid certificate and "
        "TLS 1.2 or newer, then try again.",
    ),
    "SUB-523": Advice("RingCentral accepts addresses with https:// only.", "Give PUBLIC_URL its https:// address."),
    "SUB-525": Advice(
        "Something answered at the portal's address, but not as the webhook must within 3 seconds.",
        "Let the proxy in front pass POST requests below /api/calls/events/ on to the portal, with the header "
        "Validation-Token in both directions, without a login or a redirect of its own.",
    ),
    "SUB-527": Advice(
        "The user of the connection may not see the calls of others.",
        "Use the JWT of a user with administrator rights.",
    ),
}


class Refused(Exception):
    """What was asked for cannot be; `advice` says why and what to do."""

    def __init__(self, advice: Advice) -> None:
        super().__init__(advice.what)
        self.advice = advice


# --- the address ------------------------------------------------------------------------------------------------------


def origin() -> str:
    """PUBLIC_URL, checked: scheme and host. Raises Refused."""
    url = settings.PUBLIC_URL.strip().rstrip("/")
    if not url:
        raise Refused(
            Advice(
                "PUBLIC_URL is not set, so RingCentral cannot be told where the portal is.",
                "Set it to the https:// address of the portal in the internet, and restart the portal and its worker.",
            )
        )
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    is_standin = settings.ALLOW_INSECURE_VENDORS and parts.scheme == "http" and host in LOOPBACK
    if not host or (parts.scheme != "https" and not is_standin):
        raise Refused(Advice("PUBLIC_URL is no https:// address.", "RingCentral calls https:// addresses only."))
    if parts.path or parts.query or parts.fragment or parts.username or parts.password:
        raise Refused(Advice("PUBLIC_URL is more than scheme and host.", "Write it as https://portal.example.com"))
    if not validate_host(host, settings.ALLOWED_HOSTS):
        raise Refused(
            Advice(
                "The host of PUBLIC_URL is not one of ALLOWED_HOSTS; the portal would refuse its calls.",
                "Add it there.",
            )
        )
    return url


def _address(key: str) -> str:
    return origin() + reverse("call-events", args=[key])


def _new_key() -> str:
    return secrets.token_urlsafe(32)


# --- what RingCentral sends -------------------------------------------------------------------------------------------


def find(key: str) -> Subscription | None:
    """The subscription that is on and has this key; compared with all of them, in constant time."""
    found = None
    rows = _switched_on().values_list("pk", "key")
    for pk, known in rows:
        if hmac.compare_digest(known.encode(), key.encode()):
            found = pk
    if found is None:
        return None
    redact.remember(key)
    row = _switched_on().filter(pk=found).select_related("connection").defer(*WITHOUT_SECRETS).first()
    if row is not None:
        redact.remember(row.verification)
    return row


def _switched_on() -> QuerySet[Subscription]:
    """Without those whose connection was removed."""
    return Subscription.objects.exclude(state=State.OFF).exclude(connection__client_id="")


def is_verified(row: Subscription, tokens: Sequence[str]) -> bool:
    """Whether one of the headers carries what was agreed on when the subscription was made."""
    expected = row.verification.encode()
    return bool(expected) and sum(hmac.compare_digest(expected, token.encode()) for token in tokens) > 0


def is_end(event: Mapping[str, Any]) -> bool:
    """Whether a call may have ended; all that is read of an event. In doubt it has."""
    body = event.get("body")
    parties = body.get("parties") if isinstance(body, dict) else None
    if not isinstance(parties, list) or not parties:
        return True
    states = [party.get("status") if isinstance(party, dict) else None for party in parties]
    return any(str(state.get("code")) not in GOING_ON if isinstance(state, dict) else True for state in states)


@transaction.atomic
def note_event(row: Subscription, *, may_be_end: bool) -> None:
    """Counts an event and, when a call may have ended, asks for a reading. The first statement locks the row."""
    now = timezone.now()
    minute = now.replace(second=0, microsecond=0)
    rows = Subscription.objects.filter(pk=row.pk).exclude(state=State.OFF)
    values: dict[str, Any] = {"last_event_at": now, "asked_at": now} if may_be_end else {"last_event_at": now}
    counted = rows.filter(~Q(minute_at=minute) | Q(in_minute__lt=MOST_PER_MINUTE)).update(
        events=F("events") + 1, minute_at=minute,
        in_minute=Case(When(minute_at=minute, then=F("in_minute") + 1), default=Value(1)), **values,
    )  # fmt: skip
    if not counted and not rows.filter(last_event_at__lt=now - SECOND).update(**values):
        return
    if may_be_end:
        sooner.ask(row, now)


# --- on and off -------------------------------------------------------------------------------------------------------


def switch_on(connection: Connection, *, user: Person, address: str | None = None) -> Subscription:
    """Makes the subscription at RingCentral, which calls the portal meanwhile: not to be used inside a transaction.

    Raises Refused where it cannot even be tried. What RingCentral says against it stands in the returned row.
    """
    origin()
    row, _ = Subscription.objects.defer("verification").get_or_create(
        connection=connection, defaults={"key": _new_key()}
    )
    row.connection = connection
    now = timezone.now()
    turned = Subscription.objects.filter(pk=row.pk, state=State.OFF).update(
        state=State.FAILING, reason=_words(NOT_MADE), failing_since=now, events=0, last_event_at=None, asked_at=None,
        tried_at=None,
    )  # fmt: skip
    if not turned:
        raise Refused(Advice("The webhook is switched on already.", "Nothing to do."))
    audit.record("webhook switched on", user=user, address=address, target=str(connection))
    look_after(row, is_awaited=True)
    return row


def switch_off(row: Subscription, *, user: Person | None, address: str | None = None) -> bool:
    """From now on events are refused; returns whether the subscription is gone at RingCentral too."""
    turned = Subscription.objects.filter(pk=row.pk).exclude(state=State.OFF)
    if turned.update(state=State.OFF, reason="", failing_since=None):
        audit.record("webhook switched off", user=user, address=address, target=str(row.connection))
    look_after(row, is_awaited=True)
    return not row.rc_id


def connection_is_removed(sender: Any, connection: Connection, user: Person, **kwargs: Any) -> None:
    """Receiver of portal.connections.removing. Without an answer it runs out by itself; its events are refused."""
    row = Subscription.objects.filter(connection=connection).defer("verification").first()
    if row is None or (row.state == State.OFF and not row.rc_id):
        return
    row.connection = connection
    if not switch_off(row, user=user):
        logger.warning("the webhook of connection %s could not be ended at RingCentral", connection.pk)


# --- looking after it -------------------------------------------------------------------------------------------------


def renew_due() -> None:
    """The hourly look at each subscription: renewed in time, made anew when RingCentral dropped it, ended when off."""
    wanted = ~Q(state=State.OFF) | ~Q(rc_id="")
    for pk in list(Subscription.objects.filter(wanted).exclude(connection__client_id="").values_list("pk", flat=True)):
        try:
            look_after(
                Subscription.objects.select_related("connection").defer(*WITHOUT_SECRETS, "verification").get(pk=pk)
            )
        except Exception:
            logger.exception("the webhook with number %s could not be looked after", pk)


def look_after(row: Subscription, *, is_awaited: bool = False) -> None:
    """Brings RingCentral in line with the row, and the row in line with what RingCentral says.

    Never raises what RingCentral refuses: it is written into the row. `is_awaited`: a person waits for it.
    """
    row.refresh_from_db(fields=SEEN)
    session = connections.session_for(row.connection, purpose="interactive" if is_awaited else "run")
    with RingCentralClient(session) as client:
        keeper = _Keeper(row, client, MADE_ANEW_AT_MOST_EVERY if not is_awaited else BY_HAND_AT_MOST_EVERY)
        try:
            if row.state == State.OFF:
                keeper.end()
            else:
                keeper.keep()
        except Refused as refused:
            _has_failed(row, refused.advice, is_lasting=True)
        except errors.RemoteError as error:
            is_lasting = isinstance(error, errors.Rejected | errors.Unauthorized | errors.NotConfigured)
            _has_failed(row, _advice(error), is_lasting=is_lasting or not keeper.is_known_alive)
    row.refresh_from_db(fields=SEEN)


class _Keeper:
    """One look at one subscription."""

    def __init__(self, row: Subscription, client: RingCentralClient, at_most_every: dt.timedelta) -> None:
        self._row = row
        self._client = client
        self._at_most_every = at_most_every
        # Until RingCentral says otherwise, it lives as long as it was told to.
        self.is_known_alive = bool(row.rc_id and row.expires_at and row.expires_at > timezone.now())

    def end(self) -> None:
        for old in self._ours(self._client.subscriptions()):
            self._client.unsubscribe(old.id)
        Subscription.objects.filter(pk=self._row.pk, state=State.OFF).update(
            rc_id="", expires_at=None, checked_at=timezone.now()
        )

    def keep(self) -> None:
        wanted = _address(self._row.key)
        listed = self._ours(self._client.subscriptions())
        living = [row for row in listed if row.status == ACTIVE and row.address == wanted == self._row.address]
        kept = next((row for row in living if row.id == self._row.rc_id), living[0] if living else None)
        if kept is not None:
            kept = self._renewed(kept)
        self.is_known_alive = kept is not None
        for old in listed:
            if kept is None or old.id != kept.id:
                self._client.unsubscribe(old.id)
        self._store(kept or self._made())

    def _ours(self, listed: Sequence[SubscriptionRow]) -> list[SubscriptionRow]:
        """Those of this row, and what a crash left behind at this portal's address; no other program's."""
        others = set(Subscription.objects.exclude(pk=self._row.pk).values_list("address", flat=True))
        try:
            start = origin() + reverse("call-events", args=["-"]).removesuffix("-/")
        except Refused:
            start = ""
        return [
            row
            for row in listed
            if row.id == self._row.rc_id or (start and row.address.startswith(start) and row.address not in others)
        ]

    def _renewed(self, kept: SubscriptionRow) -> SubscriptionRow | None:
        """The same with more time, when it needs it; None when it is gone after all."""
        if kept.expires_at is not None and kept.expires_at > timezone.now() + RENEW_BEFORE:
            return kept
        try:
            renewed = self._client.renew(kept.id)
        except errors.Rejected as error:
            if error.status == 404:
                return None
            raise
        return renewed if renewed.status == ACTIVE else None

    def _made(self) -> SubscriptionRow:
        """A new one, with a new address: who knows the old one knows nothing. Raises Refused so soon after the last."""
        now, key, verification = timezone.now(), _new_key(), secrets.token_urlsafe(32)
        redact.remember(key, verification)
        address = _address(key)
        free = Q(tried_at__isnull=True) | Q(tried_at__lt=now - self._at_most_every)
        rows = Subscription.objects.filter(free, pk=self._row.pk).exclude(state=State.OFF)
        is_first = not self._row.rc_id
        if not rows.update(
            tried_at=now, key=key, verification=verification, address=address, rc_id="", expires_at=None
        ):
            raise Refused(
                Advice(
                    "RingCentral has stopped it or does not know it any more.",
                    "Nothing to do: it is made anew once an hour at most. Events that were missed do no harm: the next "
                    "reading of the call log brings their calls.",
                )
            )
        made = self._client.subscribe(address, FILTERS, verification)
        if not is_first:
            audit.record("webhook made anew", actor="worker", target=str(self._row.connection))
        return made

    def _store(self, kept: SubscriptionRow) -> None:
        is_on = Subscription.objects.filter(pk=self._row.pk).exclude(state=State.OFF)
        if not is_on.update(
            rc_id=kept.id, expires_at=kept.expires_at, state=State.ACTIVE, reason="", failing_since=None,
            checked_at=timezone.now(),
        ):  # fmt: skip
            self._client.unsubscribe(kept.id)  # somebody switched it off meanwhile


def _has_failed(row: Subscription, advice: Advice, *, is_lasting: bool) -> None:
    """Writes down what is wrong. A subscription that lives on stays active: only the look at it failed."""
    now = timezone.now()
    rows = Subscription.objects.filter(pk=row.pk).exclude(state=State.OFF)
    values: dict[str, Any] = {"reason": _words(advice)}
    if is_lasting:
        values |= {"state": State.FAILING, "failing_since": Coalesce(F("failing_since"), now)}
    rows.update(**values)
    long_failing = rows.filter(state=State.FAILING, failing_since__lte=now - TOLD_AFTER)
    if long_failing.exists():
        notices.attention_needed(
            "webhook notice sent", f"connection {row.connection_id}", "The webhook of RingCentral does not work",
            f"{advice.what}\n\n{advice.remedy}\n\nCalls are still read by the schedules, only not at once. The page: "
            f"{reverse('call-webhook')}",
        )  # fmt: skip


def _advice(error: errors.RemoteError) -> Advice:
    codes = [error.code, *(str(entry.get("errorCode")) for entry in _listed(error))]
    return next((CODES[code] for code in codes if code in CODES), errors.describe(error, with_time=False))


def _listed(error: errors.RemoteError) -> list[dict[str, Any]]:
    reply = error.reply if isinstance(error, errors.Rejected) else None
    listed = reply.get("errors") if isinstance(reply, dict) else None
    return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []


def _words(advice: Advice) -> str:
    return redact.redact(f"{advice.what}\n{advice.remedy}")


# --- what the page shows ----------------------------------------------------------------------------------------------


def unannounced(row: Subscription) -> int:
    """How many calls were read of which no event told, when the silence has lasted a day; 0 for no gap."""
    since = max((moment for moment in (row.tried_at, row.last_event_at) if moment is not None), default=None)
    if row.state == State.OFF or since is None:
        return 0
    calls = Call.objects.filter(connection=row.connection_id, merged_into__isnull=True, started_at__gt=since)
    return calls.count() if calls.filter(started_at__lte=timezone.now() - SILENCE).exists() else 0

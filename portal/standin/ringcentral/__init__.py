"""The stand-in of RingCentral: one company, its people, its call log, recordings and mailboxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from threading import RLock

from portal.standin.clock import Clock
from portal.standin.counters import Counters
from portal.standin.messages import Reply, Request
from portal.standin.ringcentral.call_log import CallLogCalls
from portal.standin.ringcentral.extensions import Extensions
from portal.standin.ringcentral.gate import AUTH, HEAVY, LIGHT, MEDIUM, ApiGate, AuthGate, Buckets
from portal.standin.ringcentral.log import CallLog
from portal.standin.ringcentral.made_up import LeadNumber, MadeUpCalls
from portal.standin.ringcentral.mailbox import Mailboxes
from portal.standin.ringcentral.people import Directory
from portal.standin.ringcentral.recordings import Recordings
from portal.standin.ringcentral.script import Script
from portal.standin.ringcentral.settings import Office, Settings
from portal.standin.ringcentral.subscriptions import Deliver, Subscriptions, deliver_to_loopback
from portal.standin.ringcentral.sync import Sync
from portal.standin.ringcentral.tokens import Tokens
from portal.standin.router import Handler, Route
from portal.standin.seed import Seed

__all__ = ["AUTH", "HEAVY", "LIGHT", "MEDIUM", "RingCentral"]

_API = "/restapi/v1.0"
_ACCOUNT = "/account/{account}"
_EXTENSION = f"{_ACCOUNT}/extension/{{extension}}"


class RingCentral:
    def __init__(
        self,
        seed: Seed,
        clock: Clock,
        lock: RLock,
        counters: Counters,
        names: Sequence[tuple[str, str]],
        lead_number: LeadNumber,
    ) -> None:
        """`names` are full names and e-mail addresses of the people who are also CRM users."""
        self.settings = Settings()
        self.people = Directory(names)
        self.office = Office(clock, lock, counters, self.settings, self.people)
        self.tokens = Tokens(self.office)
        self.buckets = Buckets(self.office)
        self.extensions = Extensions(self.office)
        self.log = CallLog(self.office)
        self.calls = CallLogCalls(self.office, self.log, self.extensions)
        self.sync = Sync(self.office, self.log, self.calls)
        self.recordings = Recordings(self.office)
        self.mailboxes = Mailboxes(self.office, self.calls)
        self.subscriptions = Subscriptions(self.office, self.tokens)
        self.script = Script(self.office, self.log, self.recordings, self.mailboxes)
        self._made_up = MadeUpCalls(
            self.office, self.log, self.recordings, self.mailboxes, seed.calls, seed.seed, lead_number
        )

    def settle(self) -> None:
        """Make the made-up calls up, once, before the clock as it is then."""
        self._made_up.fill()

    @property
    def deliver(self) -> Deliver:
        """How webhooks are posted; by default over HTTP to this machine and nowhere else."""
        return self.subscriptions.deliver

    @deliver.setter
    def deliver(self, deliver: Deliver | None) -> None:
        self.subscriptions.deliver = deliver or deliver_to_loopback

    def routes(self) -> Iterator[Route]:
        yield from self.tokens.routes(AuthGate(self.office, self.buckets))
        yield from self._account_routes()
        yield from self._call_log_routes()
        yield from self._media_routes()
        yield from self._subscription_routes()

    def _get(self, path: str, handler: Handler, group: str, *scopes: str) -> Route:
        return self._route("GET", path, handler, group, *scopes)

    def _route(self, method: str, path: str, handler: Handler, group: str, *scopes: str) -> Route:
        gate = ApiGate(self.office, self.tokens, self.buckets, group, scopes)
        return Route(method, _API + path, partial(self._settled, handler), gate)

    def _settled(self, handler: Handler, request: Request) -> Reply:
        self.settle()
        return handler(request)

    def _account_routes(self) -> Iterator[Route]:
        who = self.extensions
        for path, handler, group in (
            (_ACCOUNT, who.account, LIGHT),
            (f"{_ACCOUNT}/extension", who.list_all, MEDIUM),
            (_EXTENSION, who.one, LIGHT),
            (f"{_ACCOUNT}/call-queues", who.queues, MEDIUM),
            (f"{_ACCOUNT}/call-queues/{{queue}}/members", who.members, LIGHT),
        ):
            yield self._get(path, handler, group, "ReadAccounts")

    def _call_log_routes(self) -> Iterator[Route]:
        for path, handler in (
            (f"{_ACCOUNT}/call-log", self.calls.list_company),
            (f"{_ACCOUNT}/call-log/{{row}}", self.calls.one_of_company),
            (f"{_ACCOUNT}/call-log-sync", self.sync.of_company),
            (f"{_ACCOUNT}/call-log-extract-sync", self.sync.extract),
            (f"{_EXTENSION}/call-log", self.calls.list_of_extension),
            (f"{_EXTENSION}/call-log-sync", self.sync.of_extension),
        ):
            yield self._get(path, handler, HEAVY, "ReadCallLog")

    def _media_routes(self) -> Iterator[Route]:
        recording, mailbox = f"{_ACCOUNT}/recording/{{recording}}", f"{_EXTENSION}/message-store"
        tapes, messages = self.recordings, self.mailboxes
        yield self._get(recording, tapes.about, HEAVY, "ReadCallRecording")
        yield self._get(f"{recording}/content", tapes.content, HEAVY, "ReadCallRecording")
        yield self._get(mailbox, messages.list_all, LIGHT, "ReadMessages")
        yield self._get(f"{mailbox}/{{message}}", messages.one, LIGHT, "ReadMessages")
        yield self._get(f"{mailbox}/{{message}}/content/{{attachment}}", messages.content, MEDIUM, "ReadMessages")
        yield self._get(f"{_EXTENSION}/message-sync", messages.sync, LIGHT, "ReadMessages")

    def _subscription_routes(self) -> Iterator[Route]:
        hooks, one, scope = self.subscriptions, "/subscription/{subscription}", "SubscriptionWebhook"
        yield self._route("GET", "/subscription", hooks.list_all, LIGHT, scope)
        yield self._route("POST", "/subscription", hooks.create, MEDIUM, scope)
        yield self._route("GET", one, hooks.one, LIGHT, scope)
        yield self._route("PUT", one, hooks.update, MEDIUM, scope)
        yield self._route("DELETE", one, hooks.delete, MEDIUM, scope)
        yield self._route("POST", f"{one}/renew", hooks.renew, LIGHT, scope)

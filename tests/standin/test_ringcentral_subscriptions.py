from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from portal.standin import Standin
from portal.standin.ringcentral.subscriptions import deliver_to_loopback
from tests.standin.phone_caller import HOST, NOON, PhoneCaller

URL = f"{HOST}/restapi/v1.0/subscription"
SESSIONS = "/restapi/v1.0/account/~/telephony/sessions"


class Receiver:
    """A webhook that echoes the validation and remembers what it got."""

    def __init__(self):
        self.events, self.headers, self.status, self.echoes = [], [], 200, True

    def __call__(self, url, headers, body):
        self.headers.append(headers)
        if body:
            self.events.append(json.loads(body))
            return self.status, {}
        return 200, {"Validation-Token": headers["Validation-Token"]} if self.echoes else {}


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


@pytest.fixture
def receiver(phone):
    phone.standin.ringcentral.deliver = Receiver()
    return phone.standin.ringcentral.deliver


def subscribe(phone, *filters, address="https://portal.test/hook", **more):
    mode = {"transportType": "WebHook", "address": address, "verificationToken": "shared"}
    body = {"eventFilters": list(filters or [SESSIONS]), "deliveryMode": mode, **more}
    return phone.send("POST", URL, json.dumps(body))


def test_a_subscription_is_made_after_the_handshake(phone, receiver):
    reply = subscribe(phone, expiresIn=3600)

    body = reply.json()
    assert (reply.status, body["status"], body["expiresIn"]) == (200, "Active", 3600)
    assert body["eventFilters"] == ["/restapi/v1.0/account/700000000/telephony/sessions"]
    assert body["expirationTime"] == "2026-11-02T13:00:00.000Z"
    assert receiver.headers[0]["Verification-Token"] == "shared"
    assert phone.send("GET", f"{URL}/{body['id']}").json() == body
    assert phone.send("GET", URL).json()["records"] == [body]


def test_a_receiver_that_does_not_echo_is_refused(phone, receiver):
    receiver.echoes = False

    assert phone.code(subscribe(phone)) == "SUB-525"


@pytest.mark.parametrize(
    ("address", "code"), [("http://portal.test/hook", "SUB-523"), ("https://portal.test/hook", "SUB-521")]
)
def test_without_a_deliverer_nobody_outside_is_called(phone, address, code):
    assert phone.code(subscribe(phone, address=address)) == code


def test_events_reach_those_who_asked_for_them(phone, receiver):
    subscribe(phone)
    subscribe(phone, "/restapi/v1.0/account/~/extension/700000101/voicemail")
    subscribe(phone, f"{SESSIONS}?direction=Outbound")
    hooks = phone.standin.ringcentral.subscriptions

    statuses = hooks.emit_telephony("s-1", code="Disconnected", caller="+15125550123", sequence=7)
    made = phone.script.voicemail(NOON, agent="101", duration=1)
    phone.standin.clock.advance(60)
    hooks.emit_voicemail(phone.get(f"/extension/700000101/message-store/{made.message}").json())

    telephony, voicemail = receiver.events
    assert statuses == [200]
    assert telephony["body"]["telephonySessionId"] == "s-1"
    assert (telephony["body"]["sequence"], telephony["body"]["parties"][0]["extensionId"]) == (7, "700000101")
    assert voicemail["body"]["id"] == int(made.message)
    assert receiver.headers[-1]["Verification-Token"] == "shared"


def test_a_receiver_that_fails_is_blacklisted_for_good(phone, receiver):
    name = subscribe(phone).json()["id"]
    receiver.status = 500
    hooks = phone.standin.ringcentral.subscriptions

    assert hooks.emit_telephony("s-1") == [500]
    receiver.status = 200
    assert hooks.emit_telephony("s-2") == []
    assert phone.send("GET", f"{URL}/{name}").json()["status"] == "Blacklisted"


def test_a_subscription_lives_until_its_end_unless_renewed(phone, receiver):
    first, second = subscribe(phone, expiresIn=600).json()["id"], subscribe(phone, expiresIn=600).json()["id"]
    phone.standin.clock.advance(500)
    assert phone.send("POST", f"{URL}/{first}/renew").status == 200
    phone.standin.clock.advance(200)

    assert phone.send("GET", f"{URL}/{first}").status == 200
    assert phone.send("GET", f"{URL}/{second}").status == 404
    assert phone.send("PUT", f"{URL}/{first}").json()["expiresIn"] == 604_799
    assert phone.send("DELETE", f"{URL}/{first}").status == 204
    assert phone.send("GET", URL).json()["records"] == []


@pytest.mark.parametrize(
    ("filters", "status", "code"),
    [
        (["/restapi/v1.0/account/~/nonsense"], 400, "SUB-508"),
        ([f"{SESSIONS}?missedCall=true"], 501, "STANDIN_NOT_BUILT"),
        (["/restapi/v1.0/subscription/~?threshold=60"], 501, "STANDIN_NOT_BUILT"),
    ],
)
def test_filters_are_checked(phone, receiver, filters, status, code):
    reply = subscribe(phone, *filters)

    assert (reply.status, phone.code(reply)) == (status, code)


def test_the_quota_and_the_scope_are_checked(phone, receiver):
    phone.standin.ringcentral.settings.subscriptions = 1
    subscribe(phone)
    assert phone.code(subscribe(phone)) == "SUB-505"

    phone.standin.ringcentral.settings.scopes = "SubscriptionWebhook"
    phone.token = phone.login().json()["access_token"]
    assert phone.code(subscribe(phone)) == "CMN-401"


def test_the_default_deliverer_posts_to_this_machine():
    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Validation-Token", self.headers["Validation-Token"])
            self.end_headers()

        def log_message(self, format, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = Thread(target=server.handle_request)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/hook"
        status, headers = deliver_to_loopback(url, {"Validation-Token": "x", "Content-Length": "2"}, b"{}")
    finally:
        thread.join()
        server.server_close()

    assert (status, headers["Validation-Token"]) == (200, "x")
    with pytest.raises(ConnectionRefusedError):
        deliver_to_loopback("http://192.0.2.1/hook", {}, b"")

"""The bulk update as a person clicks through it: helpers of the tests of its pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from portal.models import Run
from portal.standin import Standin

Work = Callable[[Run], Run]
PAGE = "/crm/bulk-update/"


def text_of(response: Any) -> str:
    if response.streaming:
        return b"".join(response.streaming_content).decode()
    return response.content.decode()


def choose(browser: Client, **fields: Any) -> Any:
    return browser.post(PAGE, {"module": "Leads", "source": "paste", "all_pages": "on"} | fields)


def plan_of(response: Any) -> Run:
    assert response.status_code == 302, text_of(response)[:3000]
    return Run.objects.get(pk=int(response.url.rstrip("/").rsplit("/", 1)[1]))


def url_of(run: Run, name: str = "plan") -> str:
    return reverse(f"bulk-update-{name}", args=[run.pk])


def preview(browser: Client, work: Work, ids: list[str], **change: str) -> Run:
    run = work(plan_of(choose(browser, ids="\n".join(ids))))
    change = {"field": "Lead_Status", "value": "Junk Lead", "automation": "off"} | change
    assert browser.post(url_of(run, "change"), change).status_code == 302
    return work(run)


def confirm(browser: Client, run: Run, **fields: str) -> Any:
    run.refresh_from_db()
    return browser.post(url_of(run, "confirm"), {"fingerprint": run.fingerprint} | fields)


def writes_of(standin: Standin) -> list[Any]:
    return [entry for entry in standin.counters.journal if entry.method in ("PUT", "PATCH", "DELETE")]

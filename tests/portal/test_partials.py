"""Tags, filters and partials that the pages are made of."""

import datetime as dt
import re
from pathlib import Path

import django_tables2
import pytest
import time_machine
from django import forms
from django.conf import settings
from django.contrib.auth.models import User
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone
from django_tables2 import LazyPaginator, RequestConfig

from portal.models import Connection, Run, RunItem
from portal.templatetags import portal as tags

SPRITE = (settings.BASE_DIR / "portal/static/vendor/tabler/icons.svg").read_text()
NOW = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)


def rendered(source, **values):
    return Template("{% load portal %}" + source).render(Context(values))


# --- tags -------------------------------------------------------------------------------------------------------------


def test_every_icon_named_in_templates_states_and_messages_is_in_the_sprite():
    sources = [*Path(settings.BASE_DIR / "templates").rglob("*.html")]
    named = {name for source in sources for name in re.findall(r'{% icon "([\w-]+)"', source.read_text())}
    named |= {name for name, _ in tags.LOOKS.values()} | set(tags.MESSAGE_ICONS.values()) | {"info-circle", "inbox"}
    assert {name for name in named if f'id="{name}"' not in SPRITE} == set()


def test_every_state_has_a_look_and_words():
    states = {*Run.State.values, *RunItem.State.values, *Connection.State.values}
    assert states == set(tags.LOOKS)
    assert "Finished with errors" in rendered("{% state_pill state %}", state="finished_with_errors")


def test_a_waiting_run_says_for_what():
    run = Run(state=Run.State.WAITING, wait=Run.Wait.APPROVAL)
    assert "Waiting for approval" in rendered("{% state_pill run %}", run=run)


def test_progress_tells_the_counts_and_its_segments_fill_what_is_done():
    html = rendered("{% progress run %}", run=Run(planned=1250, ok=800, failed=37, skipped=46, unknown=5))
    assert 'aria-valuenow="888"' in html
    assert "888 of 1,250 done, 800 OK, 37 Failed, 46 Skipped, 5 Unknown" in html
    assert "362 to do" in html
    widths = [float(width) for width in re.findall(r'width="([\d.]+)%" height="100%"', html)]
    assert sum(widths) == pytest.approx(100 * 888 / 1250, abs=0.01)


def test_progress_of_a_run_without_items_divides_by_nothing():
    assert "0 of 0 done (0 %)" in re.sub(r"</?strong>", "", rendered("{% progress run %}", run=Run()))


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (None, tags.DASH),
        (0.4, "under 1 s"),
        (12, "12 s"),
        (185, "3 min 5 s"),
        (180, "3 min"),
        (dt.timedelta(days=1, hours=2, minutes=3), "1 d 2 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(span, words):
    assert tags.duration(span) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "just now"), (40, "40 s ago"), (185, "3 min ago"), (7_500, "2 h 5 min ago"), (-190, "in 3 min")],
)
def test_a_moment_is_told_by_its_distance_with_the_full_time_in_the_title(seconds, words):
    with time_machine.travel(NOW, tick=False):
        html = tags.ago(NOW - dt.timedelta(seconds=seconds))
    assert f">{words}</time>" in html
    assert "10 Mar 2026" in html
    assert "UTC" in html


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("UTC", "10 Mar 2026, 12:00 UTC"),
        ("Europe/Berlin", "10 Mar 2026, 13:00 CET"),
        ("America/Sao_Paulo", "10 Mar 2026, 09:00 UTC-03"),
    ],
)
def test_times_carry_their_zone(zone, words):
    with timezone.override(zone):
        assert words in tags.zone_time(NOW)


def test_numbers_get_thousands_separators():
    assert [tags.num(value) for value in (4318, 0, None, "")] == ["4,318", "0", tags.DASH, tags.DASH]


def test_a_changed_filter_keeps_the_others_and_starts_at_the_first_page():
    request = RequestFactory().get("/?page=7&state=ok&owner=a%26b")
    html = Template("{% load portal %}{% query_replace state='failed' %}").render(Context({"request": request}))
    assert html == "?owner=a%26b&amp;state=failed" or html == "?state=failed&amp;owner=a%26b"
    removed = Template("{% load portal %}{% query_replace state=None page=2 %}").render(Context({"request": request}))
    assert removed == "?owner=a%26b&amp;page=2"


# --- forms ------------------------------------------------------------------------------------------------------------


class Sample(forms.Form):
    name = forms.CharField(help_text="As in lists.")
    module = forms.ChoiceField(choices=[("l", "Leads")])
    mode = forms.ChoiceField(widget=forms.RadioSelect, choices=[("a", "Set"), ("b", "Clear")], help_text="How.")
    agreed = forms.BooleanField(label="Run automations")
    secret = forms.CharField(widget=forms.HiddenInput)


def test_a_form_ties_labels_help_and_errors_to_their_controls():
    html = rendered('{% include "partials/_form.html" %}', form=Sample({}))
    assert re.search(
        r'<input[^>]*class="form-control is-invalid"[^>]*aria-describedby="id_name_helptext id_name_error"', html
    )
    assert 'id="id_name_helptext"' in html
    assert 'id="id_name_error"' in html
    assert '<label class="form-label required" for="id_name">' in html
    assert 'class="form-select is-invalid"' in html
    assert html.count('class="form-check-input is-invalid"') == 3
    assert re.search(r'<fieldset[^>]*aria-describedby="id_mode_helptext id_mode_error"', html)
    assert "secret: This field is required." in html.lower().replace("this", "This")


def test_a_form_escapes_what_a_person_typed():
    html = rendered('{% include "partials/_form.html" %}', form=Sample({"name": "<b>", "module": "<script>"}))
    assert "<b>" not in html
    assert "<script>" not in html


# --- tables -----------------------------------------------------------------------------------------------------------


class People(django_tables2.Table):
    name = django_tables2.Column()
    city = django_tables2.Column(orderable=False, verbose_name="Home town")


def people(query, **options):
    request = RequestFactory().get(f"/people/{query}")
    request.user = User()
    table = People([{"name": f"n{number:03}", "city": "<i>"} for number in range(4318)], empty_text="Nobody.")
    RequestConfig(request, paginate={"per_page": 50, **options}).configure(table)
    return table, request


def test_a_table_says_how_it_is_sorted_and_keeps_the_query():
    table, request = people("?sort=-name&state=ok&page=3")
    html = table.as_html(request)
    assert 'aria-sort="descending"' in html
    assert f"Showing 101{tags.DASH}150 of 4,318" in html
    assert 'href="?sort=name&amp;state=ok"' in html
    assert 'href="?sort=-name&amp;state=ok&amp;page=4"' in html
    assert 'data-label="Home town">&lt;i&gt;</td>' in html
    assert "hx-get" not in html


def test_a_table_with_a_target_reloads_that_part_only():
    table, request = people("")
    table.htmx_target = "#people"
    html = table.as_html(request)
    assert 'hx-get="?sort=name" hx-target="#people" hx-push-url="true"' in html


def test_a_table_that_does_not_count_leaves_the_total_out():
    table, request = people("?page=2", paginator_class=LazyPaginator)
    assert f"Showing 51{tags.DASH}100<" in table.as_html(request)


def test_an_empty_table_says_so():
    request = RequestFactory().get("/")
    request.user = User()
    table = People([], empty_text="Nobody is here yet.")
    RequestConfig(request).configure(table)
    html = table.as_html(request)
    assert "Nobody is here yet." in html
    assert "Showing" not in html


# --- partials ---------------------------------------------------------------------------------------------------------


def test_an_error_has_three_parts_and_its_code_can_be_copied():
    html = rendered(
        '{% include "partials/_error.html" with what="It broke." target="Lead 7" remedy="Try again." code="X_1" %}'
    )
    assert all(part in html for part in ("It broke.", "Lead 7", "Try again.", 'data-copy="X_1"'))


def test_a_copy_button_escapes_what_it_copies():
    assert "&quot;&gt;" in rendered('{% include "partials/_copy.html" with text=text %}', text='">')


def test_an_empty_state_offers_what_to_do():
    html = rendered(
        '{% include "partials/_empty.html" with title="No runs" text="None yet." action_url="/x/" action_label="Start" %}'
    )
    assert '<a class="btn btn-primary" href="/x/">Start</a>' in html

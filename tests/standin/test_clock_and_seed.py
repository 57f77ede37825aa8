import tracemalloc
from collections import Counter
from datetime import UTC, datetime

from portal.standin import Clock, Standin
from portal.standin.zoho.conditions import phone_key
from tests.standin.caller import state_of


def test_clock_freezes_moves_and_never_jumps_back():
    clock = Clock()
    clock.freeze(datetime(2030, 1, 1, tzinfo=UTC))
    clock.advance(90)
    assert clock.now() == datetime(2030, 1, 1, 0, 1, 30, tzinfo=UTC)

    clock.run()

    assert clock.now() >= datetime(2030, 1, 1, 0, 1, 30, tzinfo=UTC)


def test_blocking_states_have_small_shares():
    table = Standin(leads=12_000).zoho.org.tables["Leads"]
    states = Counter(state_of(table.value, record_id) for record_id in table.ids())

    assert all(30 <= states[name] <= 90 for name in ("converted", "locked", "blueprint"))
    assert 15 <= states["pending"] <= 60
    assert 80 <= states["strict"] <= 160


def test_phones_come_in_many_formats_and_some_repeat():
    table = Standin(leads=4_000).zoho.org.tables["Leads"]
    phones = [phone for record_id in table.ids() if (phone := table.value(record_id, "Phone"))]
    shapes = {"".join("9" if character.isdigit() else character for character in phone) for phone in phones}
    numbers = Counter(phone_key(phone) for phone in phones)

    assert len(shapes) >= 8
    assert 20 <= sum(1 for count in numbers.values() if count > 1) <= 120
    assert all(len(phone) <= 30 for phone in phones)


def test_a_hundred_thousand_leads_take_little_memory():
    tracemalloc.start()
    standin = Standin(leads=100_000)
    standin.record("Leads", standin.ids("Leads")[99_999])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 40_000_000


def test_reset_restores_the_data_and_keeps_the_size():
    standin = Standin(leads=30)
    lead = standin.ids("Leads")[0]
    before = standin.record("Leads", lead)
    standin.set_record("Leads", lead, {"City": "Reno"})
    standin.add_lead(Phone="123")

    standin.reset()

    assert standin.record("Leads", lead) == before
    assert len(standin.ids("Leads")) == 30


def test_a_colleagues_edit_is_no_write_of_the_api():
    standin = Standin(leads=30)
    lead = standin.ids("Leads")[0]

    standin.set_record("Leads", lead, {"Locked__s": True, "Owner": "5725767000000001003"})

    assert standin.record("Leads", lead)["Owner"]["name"] == "Priya Raman"
    assert standin.writes("Leads", lead).writes == 0

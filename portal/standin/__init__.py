"""Offline Zoho CRM (and RingCentral) with one state, one clock, an in-process door and an HTTP door.

Standard library only, and nothing of the portal: the portal talks to it as it talks to the vendors.
"""

from portal.standin.clock import Clock
from portal.standin.counters import Counters, Writes
from portal.standin.faults import Fault, FaultScript
from portal.standin.messages import ConnectionDropped, Reply, Request
from portal.standin.server import StandinServer
from portal.standin.standin import Standin

__all__ = [
    "Clock",
    "ConnectionDropped",
    "Counters",
    "Fault",
    "FaultScript",
    "Reply",
    "Request",
    "Standin",
    "StandinServer",
    "Writes",
]

"""RingCentral's hosts. The access token goes nowhere else.

Sources: the developer guide and the OpenAPI file name platform.ringcentral.com and media.ringcentral.com; customers of
AT&T Office@Hand and Verizon live on platform.ringcentral.biz. Media addresses sometimes show the port 443.
"""

from __future__ import annotations

import re

from django.conf import settings

from portal.remote.addresses import LOOPBACK, checked_host, origin, refuse

SERVICE = "RingCentral"
DEFAULT_SERVER = "https://platform.ringcentral.com"
_VENDOR_DOMAIN = re.compile(r"(?:[a-z0-9-]+\.)+ringcentral\.(?:com|biz)")


def _vendor_host(url: str) -> str:
    host = checked_host(url, SERVICE)
    if host not in LOOPBACK and not _VENDOR_DOMAIN.fullmatch(host):
        raise refuse(f"{host} is not a server of RingCentral; nothing is sent there.", SERVICE)
    return host


def server_origin(url: str) -> str:
    """Base of the API server, from an address entered or set. Raises NotConfigured unless it is RingCentral's."""
    _vendor_host(url)
    return origin(url)


def media_origin(server_url: str) -> str:
    """Base for contents of recordings and messages; the stand-in serves them itself."""
    if is_local(server_url):
        return origin(server_url)
    return server_origin(settings.RINGCENTRAL_MEDIA_URL)


def is_local(url: str) -> bool:
    """Whether the server is the stand-in. Raises NotConfigured as `server_origin` does."""
    return _vendor_host(url) in LOOPBACK


def is_sandbox(url: str) -> bool:
    """The former test platform, whose keys production refuses (OAU-165)."""
    return ".devtest." in _vendor_host(url)


def check_vendor_url(url: str) -> None:
    """Raises NotConfigured unless an absolute address belongs to RingCentral."""
    _vendor_host(url)

from __future__ import annotations

from typing import Any

import pytest

from portal.remote import ringcentral_hosts as hosts
from portal.remote.errors import NotConfigured


@pytest.mark.parametrize(
    "url",
    [
        "https://platform.ringcentral.com",
        "https://platform.devtest.ringcentral.com",
        "https://platform.ringcentral.biz",
        "https://media.ringcentral.com:443",
    ],
)
def test_the_vendors_own_hosts_are_called(url: str) -> None:
    assert hosts.server_origin(f"{url}/restapi/v1.0/account/~") == url
    hosts.check_vendor_url(f"{url}/restapi/v1.0/account/1/recording/2/content")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "platform.ringcentral.com",
        "http://platform.ringcentral.com",
        "ftp://platform.ringcentral.com",
        "https://ringcentral.com.evil.example",
        "https://evilringcentral.com",
        "https://ringcentral.com",
        "https://evil.example/?platform.ringcentral.com",
        "https://platform.ringcentral.com:8443",
        "https://platform.ringcentral.com:99999",
        "https://user:password@platform.ringcentral.com",
        "https://platform.ringcentral.com@evil.example",
        "https://platform.ringcentral.org",
        "https://www.zohoapis.com",
    ],
)
def test_other_hosts_are_refused(url: str) -> None:
    for check in (hosts.server_origin, hosts.check_vendor_url):
        with pytest.raises(NotConfigured):
            check(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8900", "http://localhost:8900", "https://[::1]:8900"])
def test_this_machine_is_a_vendor_only_where_settings_allow_it(url: str, settings: Any) -> None:
    settings.ALLOW_INSECURE_VENDORS = True
    assert hosts.server_origin(url) == url
    assert hosts.media_origin(url) == url
    settings.ALLOW_INSECURE_VENDORS = False
    with pytest.raises(NotConfigured, match="ALLOW_INSECURE_VENDORS"):
        hosts.check_vendor_url(url)


def test_media_have_a_server_of_their_own(settings: Any) -> None:
    assert hosts.media_origin("https://platform.ringcentral.com") == "https://media.ringcentral.com"
    settings.RINGCENTRAL_MEDIA_URL = "https://media.evil.example"
    with pytest.raises(NotConfigured):
        hosts.media_origin("https://platform.ringcentral.com")


def test_the_former_test_platform_is_told_apart() -> None:
    assert hosts.is_sandbox("https://platform.devtest.ringcentral.com")
    assert not hosts.is_sandbox("https://platform.ringcentral.com")

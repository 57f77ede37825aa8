from __future__ import annotations

from typing import Any

import pytest

from portal.remote import zoho_hosts
from portal.remote.errors import NotConfigured


@pytest.mark.parametrize(
    ("code", "accounts", "api", "crm"),
    [
        ("US", "https://accounts.zoho.com", "https://www.zohoapis.com", "https://crm.zoho.com"),
        ("EU", "https://accounts.zoho.eu", "https://www.zohoapis.eu", "https://crm.zoho.eu"),
        ("IN", "https://accounts.zoho.in", "https://www.zohoapis.in", "https://crm.zoho.in"),
        ("AU", "https://accounts.zoho.com.au", "https://www.zohoapis.com.au", "https://crm.zoho.com.au"),
        ("CN", "https://accounts.zoho.com.cn", "https://www.zohoapis.com.cn", "https://crm.zoho.com.cn"),
        ("JP", "https://accounts.zoho.jp", "https://www.zohoapis.jp", "https://crm.zoho.jp"),
        ("CA", "https://accounts.zohocloud.ca", "https://www.zohoapis.ca", "https://crm.zohocloud.ca"),
        ("SA", "https://accounts.zoho.sa", "https://www.zohoapis.sa", "https://crm.zoho.sa"),
        ("UK", "https://accounts.zoho.uk", "https://www.zohoapis.uk", "https://crm.zoho.uk"),
    ],
)
def test_each_data_centre_has_its_hosts(code: str, accounts: str, api: str, crm: str) -> None:
    assert (zoho_hosts.accounts_url(code), zoho_hosts.api_url(code)) == (accounts, api)
    assert zoho_hosts.crm_url(code.lower()) == crm
    assert zoho_hosts.data_centre_of(accounts) == code
    assert zoho_hosts.data_centre_of(f"{accounts}/oauth/v2/token") == code
    assert zoho_hosts.checked_api_url(f"{api}/crm/v8") == api
    zoho_hosts.check_vendor_url(f"{api}/crm/v8/Leads")


@pytest.mark.parametrize(("code", "host"), [("EU", "content.zohoapis.eu"), ("CA", "upload.zohocloud.ca")])
def test_upload_hosts_follow_the_table(code: str, host: str) -> None:
    assert zoho_hosts.upload_url(code) == f"https://{host}"
    zoho_hosts.check_vendor_url(f"https://{host}/crm/v8/upload")


def test_an_upload_host_that_no_source_names_is_not_guessed() -> None:
    with pytest.raises(NotConfigured, match="No upload host"):
        zoho_hosts.upload_url("UK")


@pytest.mark.parametrize("code", ["", "XX", "ZZ"])
def test_an_unknown_data_centre_is_never_taken_for_the_us(code: str) -> None:
    with pytest.raises(NotConfigured):
        zoho_hosts.api_url(code)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "accounts.zoho.com",
        "http://accounts.zoho.com",
        "https://accounts.zoho.ae",
        "https://accounts.zoho.ca",
        "https://accounts.zoho.com.evil.example",
        "https://accounts.zoho.com:8443",
        "https://user:password@accounts.zoho.com",
        "https://evil.example/?accounts.zoho.com",
    ],
)
def test_other_accounts_servers_are_refused(url: str) -> None:
    with pytest.raises(NotConfigured):
        zoho_hosts.data_centre_of(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8900", "http://localhost:8900/oauth/v2/token", "https://[::1]:8900"])
def test_this_machine_is_a_vendor_only_where_settings_allow_it(url: str, settings: Any) -> None:
    settings.ALLOW_INSECURE_VENDORS = True
    assert zoho_hosts.data_centre_of(url) == "LOCAL"
    assert url.startswith(zoho_hosts.checked_api_url(url))
    settings.ALLOW_INSECURE_VENDORS = False
    for check in (zoho_hosts.data_centre_of, zoho_hosts.checked_api_url, zoho_hosts.check_vendor_url):
        with pytest.raises(NotConfigured, match="ALLOW_INSECURE_VENDORS"):
            check(url)

"""Zoho's data centres and their hosts. An unknown host is an error: taking it for the US would send data abroad.

Sources: the official SDK's environments for US, EU, IN, AU, CN, JP, CA and SA; the multi-data-centre page for UK, whose
upload host no source names. Canada's accounts live at zohocloud.ca while its API is at zohoapis.ca.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portal.remote.addresses import LOOPBACK, checked_host, origin, refuse
from portal.remote.errors import NotConfigured

SERVICE = "Zoho CRM"
LOCAL = "LOCAL"


@dataclass(frozen=True, slots=True)
class DataCentre:
    """Hosts of one data centre; `upload_host` is empty where no source names it."""

    code: str
    accounts_host: str
    api_host: str
    upload_host: str
    crm_host: str


def _regular(code: str, tld: str) -> DataCentre:
    return DataCentre(code, f"accounts.zoho.{tld}", f"www.zohoapis.{tld}", f"content.zohoapis.{tld}", f"crm.zoho.{tld}")


DATA_CENTRES: dict[str, DataCentre] = {
    centre.code: centre
    for centre in (
        _regular("US", "com"),
        _regular("EU", "eu"),
        _regular("IN", "in"),
        _regular("AU", "com.au"),
        _regular("CN", "com.cn"),
        _regular("JP", "jp"),
        DataCentre("CA", "accounts.zohocloud.ca", "www.zohoapis.ca", "upload.zohocloud.ca", "crm.zohocloud.ca"),
        DataCentre("SA", "accounts.zoho.sa", "www.zohoapis.sa", "files.zoho.sa", "crm.zoho.sa"),
        DataCentre("UK", "accounts.zoho.uk", "www.zohoapis.uk", "", "crm.zoho.uk"),
    )
}
_BY_ACCOUNTS_HOST = {centre.accounts_host: centre for centre in DATA_CENTRES.values()}
# Production, sandbox and developer edition; the bare form is the server of the OpenAPI files.
_API_HOSTS = {
    prefix + centre.api_host.removeprefix("www."): centre
    for centre in DATA_CENTRES.values()
    for prefix in ("www.", "sandbox.", "developer.", "")
}
# Downloads and uploads come from further hosts (download-accl, content, files …) below the vendor's own domains.
_VENDOR_DOMAIN = re.compile(
    r"(?:[a-z0-9-]+\.)*(?:zoho|zohoapis)\.(?:com|eu|in|com\.au|com\.cn|jp|ca|sa|uk)|(?:[a-z0-9-]+\.)*zohocloud\.ca"
)


def _refuse(message: str) -> NotConfigured:
    return refuse(message, SERVICE)


def _host(url: str) -> str:
    return checked_host(url, SERVICE)


def _centre(code: str) -> DataCentre:
    centre = DATA_CENTRES.get(code.strip().upper())
    if centre is None:
        raise _refuse(f"The data centre {code or '(empty)'} is not known. Choose one of {', '.join(DATA_CENTRES)}.")
    return centre


def data_centre_of(accounts_url: str) -> str:
    """Code of the data centre of an accounts address (base or full token address); LOCAL on the loopback interface.

    Raises NotConfigured for a host that is not in the table.
    """
    host = _host(accounts_url)
    if host in LOOPBACK:
        return LOCAL
    centre = _BY_ACCOUNTS_HOST.get(host)
    if centre is None:
        known = ", ".join(_BY_ACCOUNTS_HOST)
        raise _refuse(f"{host} is not an accounts server of Zoho. Use one of {known}.")
    return centre.code


def data_centre_of_api(url: str) -> str:
    """Code of the data centre of an API address; LOCAL on the loopback interface. Raises NotConfigured for others."""
    host = _host(url)
    if host in LOOPBACK:
        return LOCAL
    if host not in _API_HOSTS:
        raise _refuse(f"{host} is not an API host of Zoho.")
    return _API_HOSTS[host].code


def accounts_origin(accounts_url: str) -> str:
    """Base of a checked accounts address."""
    data_centre_of(accounts_url)
    return origin(accounts_url)


def accounts_url(code: str) -> str:
    return f"https://{_centre(code).accounts_host}"


def api_url(code: str) -> str:
    return f"https://{_centre(code).api_host}"


def upload_url(code: str) -> str:
    """Base for bulk-write uploads. Raises NotConfigured where no source names the host."""
    host = _centre(code).upload_host
    if not host:
        raise _refuse(f"No upload host is known for the data centre {code}. Enter it on the connection.")
    return f"https://{host}"


def crm_url(code: str) -> str:
    """Base of links into Zoho's own screens."""
    return f"https://{_centre(code).crm_host}"


def checked_api_url(url: str) -> str:
    """Base of an API address, from a token answer or a setting. Raises NotConfigured unless it is Zoho's."""
    host = _host(url)
    if host not in LOOPBACK and host not in _API_HOSTS:
        raise _refuse(f"{host} is not an API host of Zoho.")
    return origin(url)


def check_vendor_url(url: str) -> None:
    """Raises NotConfigured unless an absolute address belongs to Zoho: the access token goes nowhere else."""
    host = _host(url)
    if host not in LOOPBACK and not _VENDOR_DOMAIN.fullmatch(host):
        raise _refuse(f"{host} does not belong to Zoho; the call was not sent there.")

"""What people enter about connections. Secrets go in and never come out again."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from portal import connections
from portal.connections import environment as environment_connections
from portal.connections import scopes as connection_scopes
from portal.models import Connection, Vendor
from portal.remote import errors, ringcentral_hosts, zoho_hosts

DATA_CENTRE_NAMES = {
    "US": "United States",
    "EU": "Europe",
    "IN": "India",
    "AU": "Australia",
    "CN": "China",
    "JP": "Japan",
    "CA": "Canada",
    "SA": "Saudi Arabia",
    "UK": "United Kingdom",
}
OWN_ADDRESS = ("", "Own accounts address (below)")
KEEP = "Leave empty to keep the stored one."


class SecretField(forms.CharField):
    """A secret: never shown, not even back to who has just typed it."""

    def __init__(self, label: str, **kwargs: Any) -> None:
        widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password", "spellcheck": "false"})
        missing = {"required": f"Enter the {label[0].lower()}{label[1:]}."}
        super().__init__(label=label, required=False, max_length=4000, widget=widget, error_messages=missing, **kwargs)


class ConnectionForm(forms.ModelForm):
    """A stored connection. `secrets()` gives what was entered; which secrets a vendor needs is checked here."""

    accounts_url = forms.URLField(
        label="Accounts or server address",
        required=False,
        assume_scheme="https",
        help_text="Zoho: only instead of a data centre. RingCentral: empty for https://platform.ringcentral.com.",
    )
    api_domain = forms.URLField(
        label="API address",
        required=False,
        assume_scheme="https",
        help_text="Zoho only, usually empty: Zoho names it. Needed for a sandbox, for example https://sandbox.zohoapis.eu.",
    )
    upload_url = forms.URLField(
        label="Upload address",
        required=False,
        assume_scheme="https",
        help_text="Zoho only, usually empty. For bulk imports.",
    )
    concurrency = forms.IntegerField(
        label="Calls at once",
        min_value=1,
        max_value=50,
        initial=10,
        help_text="Zoho allows 5 to 25 calls in flight, depending on the edition; RingCentral counts by the minute.",
    )
    field_order = (
        "vendor", "name", "data_centre", "accounts_url", "client_id", "client_secret", "refresh_token", "jwt",
        "user_email", "concurrency", "daily_credits", "api_domain", "upload_url",
    )  # fmt: skip
    client_secret = SecretField("Client secret")
    refresh_token = SecretField("Refresh token", help_text="Zoho only. Leave empty to authorise in the next step.")
    jwt = SecretField("JWT credential", help_text="RingCentral only, from Credentials in its Developer Console.")

    class Meta:
        model = Connection
        fields = (
            "vendor",
            "name",
            "data_centre",
            "accounts_url",
            "api_domain",
            "upload_url",
            "client_id",
            "user_email",
            "concurrency",
            "daily_credits",
        )
        labels = {"client_id": "Client id", "user_email": "E-mail address of the user"}
        help_texts = {
            "user_email": "Who authorises the connection or made the JWT. The check says when that person is no longer active.",
            "daily_credits": "Zoho only: API credits per 24 hours, 0 when not known; the check fills it in from the edition.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [OWN_ADDRESS, *((code, f"{code}: {name}") for code, name in DATA_CENTRE_NAMES.items())]
        self.fields["data_centre"] = forms.ChoiceField(
            label="Data centre", required=False, choices=choices, help_text="Where the Zoho account lives."
        )
        self.order_fields(self.field_order)
        self.fields["client_id"].required = True
        if not self.instance.pk:
            self.initial.setdefault("vendor", Vendor.ZOHO)
            self.fields["client_secret"].required = True
        else:
            self.fields["vendor"].disabled = True
            for name in connections.SECRET_COLUMNS:
                self.fields[name].help_text = KEEP
            if self.instance.data_centre in DATA_CENTRE_NAMES:
                self.initial["accounts_url"] = ""

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if name.lower() == environment_connections.NAME:
            raise ValidationError("This name is kept for the connection that environment variables define.")
        return name

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        vendor = data.get("vendor")
        self._check_name_is_free(data)
        try:
            if vendor == Vendor.ZOHO:
                self._clean_zoho(data)
            elif vendor == Vendor.RINGCENTRAL:
                self._clean_ringcentral(data)
        except errors.NotConfigured as error:
            self.add_error("accounts_url", error.message)
        return data

    def _check_name_is_free(self, data: dict[str, Any]) -> None:
        """The database's own rule has a condition on a column that this form does not hold, so Django skips it here."""
        if not data.get("name"):
            return
        others = Connection.objects.filter(vendor=data.get("vendor"), name=data["name"]).exclude(pk=self.instance.pk)
        if others.exclude(source=Connection.Source.TEMPORARY).exists():
            self.add_error("name", "A connection to this vendor has this name already.")

    def _clean_zoho(self, data: dict[str, Any]) -> None:
        """One of data centre and accounts address decides; both end up in the row. Raises NotConfigured."""
        if "accounts_url" in self.errors or "data_centre" in self.errors:
            return
        entered, centre = data.get("accounts_url"), data.get("data_centre")
        if not entered and not centre:
            self.add_error("data_centre", "Choose the data centre, or enter the accounts address.")
            return
        found = zoho_hosts.data_centre_of(entered) if entered else str(centre)
        if entered and centre and found != centre:
            self.add_error("data_centre", f"The accounts address belongs to {found}. Choose that, or leave one empty.")
            return
        data["data_centre"] = found
        data["accounts_url"] = zoho_hosts.accounts_origin(entered) if entered else zoho_hosts.accounts_url(found)
        self._clean_addresses(data)

    def _clean_addresses(self, data: dict[str, Any]) -> None:
        for name in ("api_domain", "upload_url"):
            url = data.get(name)
            if not url:
                continue
            try:
                if name == "api_domain":
                    data[name] = zoho_hosts.checked_api_url(url)
                else:
                    zoho_hosts.check_vendor_url(url)
            except errors.NotConfigured as error:
                self.add_error(name, error.message)

    def _clean_ringcentral(self, data: dict[str, Any]) -> None:
        """The server address, production's by default, ends up in the row. Raises NotConfigured."""
        if not self.instance.pk and not data.get("jwt"):
            self.add_error("jwt", "Enter the JWT credential.")
        for name in ("data_centre", "api_domain", "upload_url"):
            if name in data:
                data[name] = ""
        if "accounts_url" not in self.errors:
            entered = data.get("accounts_url") or environment_connections.accounts_url(Vendor.RINGCENTRAL)
            data["accounts_url"] = ringcentral_hosts.server_origin(str(entered))

    def secrets(self) -> dict[str, str]:
        """Entered secrets of the vendor, by column; empty ones mean: keep what is stored."""
        return {name: self.cleaned_data.get(name, "") for name in connections.SECRETS[self.cleaned_data["vendor"]]}


class TemporaryConnectionForm(ConnectionForm):
    """A connection of this login session: all secrets at once, because nothing of it is stored."""

    # None takes an inherited field out.
    upload_url = None  # type: ignore[assignment]
    concurrency = None  # type: ignore[assignment]

    class Meta(ConnectionForm.Meta):
        fields = ("vendor", "data_centre", "accounts_url", "api_domain", "client_id")  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["refresh_token"].help_text = "Zoho only."

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        for name in connections.SECRETS.get(data.get("vendor", ""), ()):
            if not data.get(name) and name not in self.errors:
                self.add_error(name, f"Enter the {name.replace('_', ' ')}.")
        return data


class AuthoriseForm(forms.Form):
    """Which features the connection is to serve; the scopes follow from them."""

    features = forms.MultipleChoiceField(
        label="What the portal may do",
        choices=[(each.key, f"{each.label}: {', '.join(each.scopes)}".replace("{module}", "")) for each in
                 connection_scopes.FEATURES],
        widget=forms.CheckboxSelectMultiple,
        initial=connection_scopes.proposed,
        error_messages={"required": "Tick at least one feature."},
    )  # fmt: skip
    modules = forms.CharField(
        label="Only these modules",
        required=False,
        max_length=500,
        help_text="API names separated by commas, for example Leads, Contacts. Empty: all modules.",
    )

    def clean_modules(self) -> list[str]:
        names = connection_scopes.split(self.cleaned_data["modules"])
        wrong = [name for name in names if not connection_scopes.MODULE_NAME.fullmatch(name)]
        if wrong:
            raise ValidationError(f"“{wrong[0]}” is not the API name of a module.")
        return names

    def scopes(self) -> list[str]:
        return connection_scopes.scopes_for(self.cleaned_data["features"], self.cleaned_data["modules"])


class CodeForm(forms.Form):
    """The code that a self client made in the API console."""

    code = forms.CharField(
        label="Code of the self client",
        max_length=500,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Valid once, for the one to ten minutes chosen in the console. It is exchanged at once.",
    )

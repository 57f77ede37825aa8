"""What the settings calls say about modules, fields, layouts, views and picklists."""

from __future__ import annotations

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import refuse, whole_number
from portal.standin.zoho.modules import MODULES
from portal.standin.zoho.org import Org
from portal.standin.zoho.people import ADMIN_PROFILE, PROFILES
from portal.standin.zoho.schema import Field, Layout, Module, Option
from portal.standin.zoho.values import format_time
from portal.standin.zoho.views import View, criteria_of


class Metadata:
    def __init__(self, org: Org) -> None:
        self.org = org
        self._since = format_time(org.seed.since.timestamp())

    def _module_of_query(self, request: Request) -> Module:
        name = request.query.get("module")
        if not name:
            raise refuse(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="module")
        return self._module(name)

    def _module(self, name: str) -> Module:
        """Notes and attachments have fields too, though they are no tabs."""
        if name not in MODULES:
            raise refuse(400, "INVALID_MODULE", "the module name given seems to be invalid")
        return MODULES[name]

    # Modules

    def modules(self, request: Request) -> Reply:
        return Reply.of(200, {"modules": [self._module_json(n, module) for n, module in enumerate(MODULES.values())]})

    def one_module(self, request: Request) -> Reply:
        module = self._module(request.params["module"])
        row = self._module_json(list(MODULES).index(module.api_name), module)
        shown = {"api_name": module.name_field, "id": module.field_id(module.name_field)}
        return Reply.of(200, {"modules": [{**row, "per_page": 50, "display_field": shown, "$field_states": []}]})

    def _module_json(self, position: int, module: Module) -> JsonObject:
        return {
            "api_name": module.api_name,
            "module_name": module.plural,
            "singular_label": module.singular,
            "plural_label": module.plural,
            "id": module.id,
            "generated_type": "custom" if module.custom else "default",
            "api_supported": True,
            "creatable": True,
            "editable": True,
            "deletable": True,
            "viewable": True,
            "visible": module.listed,
            "visibility": 1,
            "status": "visible",
            "show_as_tab": module.listed,
            "sequence_number": position + 1,
            "presence_sub_menu": True,
            "isBlueprintSupported": bool(module.status_field),
            "business_card_field_limit": 5,
            "modified_time": None,
            "modified_by": None,
            "parent_module": {},
            "profiles": [{"name": name, "id": profile_id} for profile_id, name in PROFILES],
        }

    # Fields and picklists

    def fields(self, request: Request) -> Reply:
        module = self._module_of_query(request)
        rows = [self._field_json(module, item) for item in module.fields if not item.hidden]
        return Reply.of(200, {"fields": rows})

    def one_field(self, request: Request) -> Reply:
        module, field = self._field_of(request)
        return Reply.of(200, {"fields": [self._field_json(module, field)]})

    def pick_list_values(self, request: Request) -> Reply:
        module, field = self._field_of(request)
        if not field.options:
            return Reply(204)
        return Reply.of(200, {"pick_list_values": _options_json(module, field, field.options)})

    def _field_of(self, request: Request) -> tuple[Module, Field]:
        module = self._module_of_query(request)
        for field in module.fields:
            if module.field_id(field.api_name) == request.params["field_id"]:
                return module, field
        raise refuse(400, "INVALID_DATA", "the id given seems to be invalid", resource_path_index=2)

    def _field_json(self, module: Module, field: Field) -> JsonObject:
        may_write = field.is_writable
        return {
            "api_name": field.api_name,
            "field_label": field.label,
            "display_label": field.label,
            "id": module.field_id(field.api_name),
            "data_type": field.data_type,
            "json_type": field.json_type,
            "length": field.max_length,
            "decimal_place": 2 if field.data_type in ("double", "currency", "percent") else None,
            "system_mandatory": field.mandatory,
            "read_only": not may_write,
            "field_read_only": not may_write,
            "operation_type": {
                "web_update": may_write,
                "api_create": may_write,
                "web_create": may_write,
                "api_update": may_write,
            },
            "custom_field": field.custom,
            "visible": True,
            "virtual_field": False,
            "unique": {"casesensitive": ""} if field.unique else {},
            "external": None,
            "lookup": _lookup_json(field),
            "pick_list_values": _options_json(module, field, field.options),
            "searchable": field.data_type not in ("formula", "tag"),
            "sortable": field.data_type not in ("textarea", "multiselectpicklist", "tag"),
            "filterable": field.data_type != "tag",
            "mass_update": field.allows_mass_update,
            "textarea": {"type": field.textarea} if field.data_type == "textarea" else None,
            "formula": {"return_type": field.formula, "expression": ""} if field.formula else {},
            "auto_number": {"prefix": "LD-", "start_number": "1"} if field.data_type == "autonumber" else {},
            "currency": {"precision": 2, "rounding_option": "normal"} if field.data_type == "currency" else {},
            "multiselectlookup": {},
            "multi_module_lookup": {},
            "rollup_summary": {},
            "subform": None,
            "associated_module": None,
            "crypt": None,
            "private": None,
            "hipaa_compliance_enabled": False,
        }

    # Layouts

    def layouts(self, request: Request) -> Reply:
        module = self._module_of_query(request)
        return Reply.of(200, {"layouts": [self._layout_json(module, layout) for layout in module.layouts]})

    def one_layout(self, request: Request) -> Reply:
        module = self._module_of_query(request)
        for layout in module.layouts:
            if layout.id == request.params["id"]:
                return Reply.of(200, {"layouts": [self._layout_json(module, layout)]})
        return Reply(204)

    def _layout_json(self, module: Module, layout: Layout) -> JsonObject:
        fields = [item for item in module.fields if not item.hidden]
        own, added = [item for item in fields if not item.custom], [item for item in fields if item.custom]
        sections = [
            self._section_json(module, layout, f"{module.singular} Information", 1, own),
            self._section_json(module, layout, "Additional Information", 2, added),
        ]
        return {
            "id": layout.id,
            "name": layout.name,
            "display_label": layout.name,
            "api_name": layout.name,
            "status": "active",
            "visible": True,
            "source": "crm",
            "mode": "",
            "generated_type": "default" if layout is module.layouts[0] else "custom",
            "created_time": None,
            "modified_time": None,
            "created_by": None,
            "modified_by": None,
            "has_more_profiles": False,
            "profiles": [
                {"default": profile_id == ADMIN_PROFILE, "name": name, "id": profile_id}
                for profile_id, name in PROFILES
            ],
            "sections": [section for section in sections if section["fields"]],
        }

    def _section_json(
        self, module: Module, layout: Layout, name: str, sequence: int, fields: list[Field]
    ) -> JsonObject:
        rows = []
        for field in fields:
            excluded = layout.excluded_options.get(field.api_name, ())
            offered = tuple(option for option in field.options if option.actual not in excluded)
            rows.append(
                {
                    **self._field_json(module, field),
                    "required": field.api_name in layout.required,
                    "validation_rule": None,
                    "default_value": None,
                    "pick_list_values": _options_json(module, field, offered),
                }
            )
        return {
            "display_label": name,
            "name": name,
            "api_name": name.replace(" ", "_"),
            "id": f"{layout.id[:-2]}{sequence:02d}",
            "sequence_number": sequence,
            "type": "used",
            "generated_type": "default",
            "isSubformSection": False,
            "column_count": 2,
            "tab_traversal": "1",
            "fields": rows,
        }

    # Custom views

    def custom_views(self, request: Request) -> Reply:
        module = self._module_of_query(request)
        views = [view for view in self.org.views.values() if view.module == module.api_name]
        per_page = whole_number(request.query.get("per_page"), 200, "per_page", maximum=200)
        page = whole_number(request.query.get("page"), 1, "page")
        shown = views[(page - 1) * per_page : page * per_page]
        if not shown:
            return Reply(204)
        info = {
            "per_page": per_page,
            "count": len(shown),
            "page": page,
            "more_records": len(views) > page * per_page,
            "default": views[0].id,
            "translation": {},
        }
        return Reply.of(200, {"custom_views": [self._view_json(view) for view in shown], "info": info})

    def one_custom_view(self, request: Request) -> Reply:
        module = self._module_of_query(request)
        view = self.org.views.get(request.params["id"])
        if view is None or view.module != module.api_name:
            return Reply(204)
        columns = [item for item in module.fields if item.api_name in (module.name_field, "Owner", "Created_Time")]
        details = {
            "criteria": criteria_of(view, module),
            "fields": [
                {"api_name": item.api_name, "id": module.field_id(item.api_name), "_pin": False} for item in columns
            ],
        }
        return Reply.of(200, {"custom_views": [{**self._view_json(view), **details}]})

    def _view_json(self, view: View) -> JsonObject:
        admin = self.org.admin.reference()
        is_system = view.system_name is not None
        return {
            "id": view.id,
            "name": view.name,
            "display_value": view.name,
            "system_name": view.system_name,
            "system_defined": is_system,
            "default": is_system,
            "category": "public_views" if is_system else "created_by_me",
            "module": {"api_name": view.module, "id": MODULES[view.module].id},
            "access_type": "public",
            "favorite": None,
            "offline": True,
            "locked": False,
            "sort_by": None,
            "sort_order": None,
            "created_by": None if is_system else admin,
            "modified_by": None if is_system else admin,
            "created_time": None if is_system else self._since,
            "modified_time": None if is_system else self._since,
            "last_accessed_time": None,
        }


def _lookup_json(field: Field) -> JsonObject:
    if field.data_type != "lookup":
        return {}
    target = MODULES[field.lookup]
    return {
        "module": {"api_name": target.api_name, "id": target.id},
        "display_label": target.plural,
        "api_name": f"{field.api_name}_of",
        "query_details": {},
    }


def _options_json(module: Module, field: Field, offered: tuple[Option, ...]) -> list[JsonObject]:
    return [
        {
            "display_value": option.display,
            "actual_value": option.actual,
            "reference_value": option.actual,
            "id": f"{module.field_id(field.api_name)[:-2]}{position:02d}",
            "type": "used",
            "sequence_number": position,
            "colour_code": None,
            "maps": [],
        }
        for position, option in enumerate(offered, start=1)
    ]

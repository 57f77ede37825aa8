"""Attachments of a record: multipart upload, list, download, delete. A repeated upload makes a second attachment."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from portal.standin.messages import Reply, Request
from portal.standin.zoho.errors import RowError, refuse
from portal.standin.zoho.notes import list_related
from portal.standin.zoho.org import Org
from portal.standin.zoho.writing import Writing

MAX_BYTES = 100 * 1024 * 1024
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_FILE_NAME = re.compile(rb'filename="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_ENCODED_FILE_NAME = re.compile(rb"filename\*=utf-8''([^;\r\n]+)", re.IGNORECASE)
_PART_NAME = re.compile(rb'[; ]name="([^"]*)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    file_name: str | None
    content: bytes


def parts_of(request: Request) -> list[Part]:
    """The parts of a multipart body; split by hand because the standard library's parser copies line by line."""
    boundary = _BOUNDARY.search(request.headers.get("content-type", ""))
    if boundary is None:
        raise refuse(415, "INVALID_DATA", "the request must be multipart/form-data")
    parts = []
    for block in request.body.split(b"--" + boundary[1].encode())[1:]:
        head, found, content = block.partition(b"\r\n\r\n")
        name = _PART_NAME.search(head)
        if not found or name is None:
            continue
        parts.append(Part(name[1].decode(), _file_name(head), content.removesuffix(b"\r\n")))
    return parts


def _file_name(head: bytes) -> str | None:
    encoded = _ENCODED_FILE_NAME.search(head)
    if encoded:
        return unquote_to_bytes(encoded[1]).decode("utf-8", "replace")
    plain = _FILE_NAME.search(head)
    return plain[1].decode("utf-8", "replace") if plain else None


class Attachments:
    def __init__(self, org: Org, writing: Writing) -> None:
        self.org = org
        self.writing = writing
        self.table = org.tables["Attachments"]
        self.by_parent: dict[str, list[str]] = {}
        self.contents: dict[str, bytes] = {}

    def upload(self, request: Request) -> Reply:
        module, parent_id = request.params["module"], request.params["parent_id"]
        if not self.org.table(module).exists(parent_id):
            raise refuse(400, "INVALID_DATA", "the related id given seems to be invalid", resource_path_index=1)
        if len(request.body) > MAX_BYTES:
            raise refuse(413, "FILE_SIZE_MORE_THAN_ALLOWED_SIZE", "the file is too large", limit=MAX_BYTES)
        if request.query.get("attachmentUrl"):
            link = request.query["attachmentUrl"]
            title = request.query.get("title") or link
            return self._store(request, title, b"", {"$type": "Link URL", "$link_url": link})
        files = [part for part in parts_of(request) if part.name == "file" and part.file_name is not None]
        if not files:
            raise refuse(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="file")
        if len(files) > 1:
            raise refuse(400, "INVALID_DATA", "one file per call", param_name="file")
        if str(files[0].file_name).lower().endswith(".exe"):
            raise refuse(400, "INVALID_DATA", "the file type is not allowed", param_name="file")
        return self._store(request, str(files[0].file_name), files[0].content, {"$type": "Attachment"})

    def _store(self, request: Request, name: str, content: bytes, kind: dict[str, str]) -> Reply:
        module, parent_id = self.org.module(request.params["module"]), request.params["parent_id"]
        values = {
            "File_Name": name,
            "Size": str(len(content)),
            "Parent_Id": {"module": {"api_name": module.api_name, "id": module.id}, "id": parent_id},
            "$file_id": secrets.token_hex(20),
            **kind,
        }
        attachment_id = self.writing.add(self.table, values, by=request.principal, fired=False)
        self.by_parent.setdefault(parent_id, []).append(attachment_id)
        self.contents[attachment_id] = content
        request.records = 1
        row = self.writing.success(self.table, attachment_id, "attachment uploaded successfully")
        return Reply.of(200, {"data": [row]})

    def list_of(self, request: Request) -> Reply:
        return list_related(self.org, request, "Attachments", self.by_parent)

    def download(self, request: Request) -> Reply:
        attachment_id = request.params["id"]
        if attachment_id not in self.by_parent.get(request.params["parent_id"], ()):
            return Reply(204)
        if self.table.value(attachment_id, "$type") != "Attachment":
            raise refuse(400, "DOWNLOAD_NOT_ALLOWED", "a link cannot be downloaded")
        name = self.table.value(attachment_id, "File_Name").encode("ascii", "replace").decode().replace('"', "_")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f'attachment; filename="{name}"',
        }
        return Reply(200, headers, self.contents[attachment_id])

    def delete_one(self, request: Request) -> Reply:
        parent_id, attachment_id = request.params["parent_id"], request.params["id"]
        if attachment_id not in self.by_parent.get(parent_id, ()):
            failure = RowError("INVALID_DATA", "the id given seems to be invalid", id=attachment_id).as_row()
            return self.writing.answer([failure], all_ok=200)
        self.by_parent[parent_id].remove(attachment_id)
        self.contents.pop(attachment_id)
        self.table.remove(attachment_id)
        row = {"code": "SUCCESS", "details": {"id": attachment_id}, "message": "record deleted", "status": "success"}
        return Reply.of(200, {"data": [row]})

"""Mass update: one value for many records, at once by ids or as a scheduled job over a custom view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import RowError, not_built, refuse
from portal.standin.zoho.org import Org
from portal.standin.zoho.table import Table
from portal.standin.zoho.writing import RowResult, Writing, rows_of

MAX_IDS = 500
MAX_JOB_RECORDS = 50_000


@dataclass
class Job:
    id: str
    module: str
    values: JsonObject
    ids: tuple[str, ...]
    user_id: str
    starts_at: float
    ends_at: float
    updated: int = 0
    failed: int = 0
    done: int = 0

    def status(self, now: float) -> str:
        if now < self.starts_at:
            return "SCHEDULED"
        return "RUNNING" if self.done < len(self.ids) else "COMPLETED"


class MassUpdate:
    def __init__(self, org: Org, writing: Writing) -> None:
        self.org = org
        self.writing = writing
        self.jobs: dict[str, Job] = {}
        self._unfinished: list[Job] = []

    def start(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        values = rows_of(request, maximum=1)[0]
        if not isinstance(values, dict) or not values:
            raise refuse(400, "INVALID_DATA", "invalid data", api_name="data", json_path="$.data[0]")
        self._check_fields(table, values)
        # The call has no `trigger`, so automation always runs.
        request.trigger = None
        body = request.json()
        if "ids" in body and "cvid" in body:
            raise refuse(400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing", param_names=["ids", "cvid"])
        if "criteria" in body or "territory" in body:
            raise not_built("criteria or territories in mass update")
        if "ids" in body:
            return self._at_once(request, table, values, body["ids"])
        if "cvid" in body:
            return self._as_job(request, table, values, str(body["cvid"]))
        raise refuse(400, "MANDATORY_NOT_FOUND", "required field not found", param_name="ids")

    def _check_fields(self, table: Table, values: JsonObject) -> None:
        for name in values:
            field = table.module.by_name.get(name)
            if field is None or not field.allows_mass_update:
                text = "the field is not available for mass update"
                raise refuse(400, "INVALID_DATA", text, api_name=name, json_path=f"$.data[0].{name}")

    def _at_once(self, request: Request, table: Table, values: JsonObject, ids: Any) -> Reply:
        if not isinstance(ids, list) or not ids:
            raise refuse(400, "INVALID_DATA", "invalid data", api_name="ids", expected_data_type="jsonarray")
        if len(ids) > MAX_IDS:
            raise refuse(400, "LIMIT_EXCEEDED", f"maximum {MAX_IDS} ids per call", limit=MAX_IDS, json_path="$.ids")
        request.records = len(ids)
        results = self.writing.each(
            [{**values, "id": record_id} for record_id in ids],
            lambda row, position: self._one(request, table, row, position),
        )
        return self.writing.answer(results, all_ok=200)

    def _one(self, request: Request, table: Table, row: JsonObject, position: int) -> RowResult:
        if not isinstance(row["id"], str) or not table.exists(row["id"]):
            raise RowError("INVALID_DATA", "the id given seems to be invalid", json_path=f"$.ids[{position}]")
        return self.writing.update_row(request, table, row, position)

    def _as_job(self, request: Request, table: Table, values: JsonObject, cvid: str) -> Reply:
        self.org.view(cvid, table.module.api_name)
        if any(job.module == table.module.api_name for job in self._unfinished):
            raise refuse(400, "ALREADY_SCHEDULED", "a mass operation is already scheduled")
        ids = tuple(self.org.selection(table, cvid, "false", "both").members)
        if not ids:
            raise refuse(400, "NO_RECORDS_FOUND", "no records found in the view")
        if len(ids) > MAX_JOB_RECORDS:
            raise refuse(400, "LIMIT_EXCEEDED", "the view holds too many records", limit=MAX_JOB_RECORDS)
        settings, now = self.org.settings, self.org.clock.timestamp()
        starts_at = now + settings.mass_update_wait_s
        ends_at = starts_at + len(ids) / settings.mass_update_per_s
        job_id = f"5725767000099{len(self.jobs) + 1:06d}"
        job = Job(job_id, table.module.api_name, values, ids, request.principal, starts_at, ends_at)
        self.jobs[job_id] = job
        self._unfinished.append(job)
        answer = {
            "code": "SUCCESS",
            "details": {"job_id": job_id},
            "message": "mass update scheduled successfully",
            "status": "success",
        }
        return Reply.of(200, {"data": [answer]})

    def status(self, request: Request) -> Reply:
        job = self.jobs.get(request.query.get("job_id", ""))
        if job is None or job.module != request.params["module"]:
            raise refuse(400, "INVALID_DATA", "the job id given seems to be invalid", param_name="job_id")
        row = {
            "Status": job.status(self.org.clock.timestamp()),
            "Total_Count": len(job.ids),
            "Updated_Count": job.updated,
            "Not_Updated_Count": len(job.ids) - job.done,
            "Failed_Count": job.failed,
        }
        return Reply.of(200, {"data": [row]})

    def settle(self) -> None:
        """Bring the records up to where the jobs are by now; called before anybody looks."""
        for job in list(self._unfinished):
            now = self.org.clock.timestamp()
            if now >= job.ends_at:
                share = 1.0
            elif now <= job.starts_at:
                continue
            else:
                share = (now - job.starts_at) / (job.ends_at - job.starts_at)
            self._work(job, int(len(job.ids) * share))
            if job.done == len(job.ids):
                self._unfinished.remove(job)

    def _work(self, job: Job, until: int) -> None:
        table = self.org.tables[job.module]
        by_job = Request("POST", "", "", "", {}, {}, b"", principal=job.user_id)
        ids = job.ids[job.done : until]
        rows = [{**job.values, "id": record_id} for record_id in ids]
        results = self.writing.each(rows, lambda row, position: self._one(by_job, table, row, position))
        failed = sum(1 for result in results if result["status"] == "error")
        job.done += len(ids)
        job.failed += failed
        job.updated += len(ids) - failed

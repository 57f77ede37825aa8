import pytest

from portal.standin import Standin
from tests.standin.caller import API, Caller


@pytest.fixture
def zoho():
    return Caller(Standin(leads=500))


def note(lead, **more):
    return {"Parent_Id": {"module": {"api_name": "Leads"}, "id": lead}, "Note_Content": "Call back", **more}


def upload(zoho, lead, content, name="call.mp3"):
    body = (
        b'--XyZ\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.encode()
        + b'"\r\nContent-Type: audio/mpeg\r\n\r\n'
        + content
        + b"\r\n--XyZ--\r\n"
    )
    headers = {
        "Authorization": f"Zoho-oauthtoken {zoho.token}",
        "Content-Type": "multipart/form-data; boundary=XyZ",
    }
    return zoho.standin.handle("POST", f"{API}/Leads/{lead}/Attachments", headers, body)


def test_notes_are_added_and_listed_by_their_record(zoho):
    lead, other = zoho.leads()[:2]
    first = zoho.post("/Notes", note(lead, Note_Title="One"), note(other))
    second = zoho.post(f"/Leads/{lead}/Notes", {"Note_Content": "Two"})

    rows = zoho.get(f"/Leads/{lead}/Notes", fields="Note_Title,Note_Content,Parent_Id,Created_Time").json()["data"]

    assert (first.status, second.status) == (201, 201)
    assert [row["Note_Content"] for row in rows] == ["Two", "Call back"]
    assert rows[0]["Parent_Id"]["id"] == lead
    assert zoho.get(f"/Leads/{zoho.leads()[2]}/Notes", fields="id").status == 204


def test_a_note_wants_content_and_a_living_parent(zoho):
    missing = zoho.post("/Notes", {"Note_Title": "x", "Parent_Id": note("1")["Parent_Id"]})
    orphan = zoho.post("/Notes", note("5725767010009999999"), note(zoho.lead()))

    assert zoho.code(missing) == "MANDATORY_NOT_FOUND"
    assert orphan.status == 207
    assert orphan.json()["data"][0]["details"]["json_path"] == "$.data[0].Parent_Id.id"


def test_a_call_takes_a_hundred_notes(zoho):
    lead = zoho.lead()

    assert zoho.post("/Notes", *[note(lead)] * 100).status == 201
    assert zoho.code(zoho.post("/Notes", *[note(lead)] * 101)) == "LIMIT_EXCEEDED"


def test_only_an_administrator_lists_all_notes(zoho):
    zoho.post("/Notes", note(zoho.lead()))
    assert zoho.get("/Notes", fields="Note_Content").status == 200

    agent = next(user.id for user in zoho.standin.zoho.org.users.values() if not user.is_admin)
    code = zoho.standin.zoho.tokens.mint_code(user_id=agent)
    zoho.token = zoho.ask_token(grant_type="authorization_code", code=code)["access_token"]

    assert zoho.get("/Notes", fields="Note_Content").status == 403


def test_a_note_is_changed_and_deleted(zoho):
    lead = zoho.lead()
    note_id = zoho.post("/Notes", note(lead)).json()["data"][0]["details"]["id"]

    zoho.send("PUT", f"/Notes/{note_id}", {"data": [{"Note_Content": "Changed"}]})
    assert zoho.get(f"/Notes/{note_id}").json()["data"][0]["Note_Content"] == "Changed"

    assert zoho.send("DELETE", f"/Notes/{note_id}").status == 200
    assert zoho.get(f"/Leads/{lead}/Notes", fields="id").status == 204
    assert zoho.send("DELETE", f"/Notes/{note_id}").status == 400


def test_attachment_comes_back_byte_for_byte(zoho):
    lead, content = zoho.lead(), bytes(range(256)) * 3 + b"\r\n"
    uploaded = upload(zoho, lead, content, name="Grüße.mp3")
    attachment = uploaded.json()["data"][0]["details"]["id"]

    rows = zoho.get(f"/Leads/{lead}/Attachments", fields="File_Name,Size,$type").json()["data"]
    download = zoho.get(f"/Leads/{lead}/Attachments/{attachment}")

    assert uploaded.json()["data"][0]["message"] == "attachment uploaded successfully"
    assert rows == [{"File_Name": "Grüße.mp3", "Size": str(len(content)), "$type": "Attachment", "id": attachment}]
    assert download.body == content
    assert "attachment" in download.headers["Content-Disposition"]


def test_a_repeated_upload_makes_a_second_attachment(zoho):
    lead = zoho.lead()
    upload(zoho, lead, b"x")
    upload(zoho, lead, b"x")

    assert zoho.get(f"/Leads/{lead}/Attachments", fields="id").json()["info"]["count"] == 2


def test_attachment_is_deleted(zoho):
    lead = zoho.lead()
    attachment = upload(zoho, lead, b"x").json()["data"][0]["details"]["id"]

    assert zoho.send("DELETE", f"/Leads/{lead}/Attachments/{attachment}").status == 200
    assert zoho.get(f"/Leads/{lead}/Attachments/{attachment}").status == 204
    assert zoho.get(f"/Leads/{lead}/Attachments", fields="id").status == 204


def test_attachment_is_refused_without_a_file_or_a_record(zoho):
    assert upload(zoho, "5725767010009999999", b"x").status == 400
    assert upload(zoho, zoho.lead(), b"x", name="virus.exe").status == 400
    assert zoho.post(f"/Leads/{zoho.lead()}/Attachments", {}).status == 415


def test_fields_are_mandatory_in_related_lists(zoho):
    assert zoho.code(zoho.get(f"/Leads/{zoho.lead()}/Notes")) == "REQUIRED_PARAM_MISSING"
    assert zoho.code(zoho.get(f"/Leads/{zoho.lead()}/Attachments")) == "REQUIRED_PARAM_MISSING"


@pytest.mark.parametrize("parent", [5, {}, {"id": "1"}, {"module": {"api_name": ["Leads"]}}, {"module": "Leads"}])
def test_a_malformed_parent_fails_its_note_only(zoho, parent):
    reply = zoho.post("/Notes", {"Note_Content": "x", "Parent_Id": parent}, note(zoho.lead()))

    assert [row["code"] for row in reply.json()["data"]] == ["INVALID_DATA", "SUCCESS"]

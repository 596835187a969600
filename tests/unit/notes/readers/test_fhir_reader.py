"""FHIR resources and C-CDA documents become notes, and nothing of their narrative is lost."""

import base64
import gzip
import json
import tarfile
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.notes.readers import Fields, read_notes, recognise
from drehr_rag.notes.readers._markup import html_text
from drehr_rag.types import Note, Reject

CDA = "{urn:hl7-org:v3}"


def b64(text, encoding="utf-8"):
    return base64.b64encode(text.encode(encoding)).decode()


def document(**changes):
    resource = {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "type": {"coding": [{"display": "Discharge summary"}]},
        "subject": {"reference": "Patient/7"},
        "date": "2180-05-07T10:00:00Z",
        "content": [
            {"attachment": {"contentType": "text/plain", "data": b64("Has heart failure.")}}
        ],
        "context": {"encounter": [{"reference": "Encounter/e1"}]},
    }
    return {**resource, **changes}


def attachment(kind, data, **more):
    return [{"attachment": {"contentType": kind, "data": data, **more}}]


def read(tmp_path, content, name="x.json", **options):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return list(read_notes(path, **options))


def test_a_document_reference(tmp_path):
    [note] = read(tmp_path, document())
    assert note.note_id == "d1"
    assert note.patient_id == "7"
    assert note.encounter_id == "e1"
    assert note.note_type == "Discharge summary"
    assert note.written_at.isoformat() == "2180-05-07T10:00:00+00:00"
    assert note.text == "Has heart failure."


def test_a_bundle_resolves_patient_encounter_and_binary(tmp_path):
    resource = document(
        subject={"reference": "urn:uuid:aa"},
        context={"encounter": [{"reference": "https://host/fhir/Encounter/e9"}]},
        content=[{"attachment": {"contentType": "text/html", "url": "Binary/b1"}}],
    )
    period = {"start": "2180-05-01", "end": "2180-05-09"}
    entries = [
        {"fullUrl": "urn:uuid:aa", "resource": {"resourceType": "Patient", "id": "p77"}},
        {"resource": {"resourceType": "Encounter", "id": "e9", "period": period}},
        {"resource": {"resourceType": "Binary", "id": "b1", "data": b64("<p>One</p><p>Two</p>")}},
        {"resource": resource},
        {"resource": {"resourceType": "Observation", "id": "o1"}},
    ]
    [note] = read(tmp_path, {"resourceType": "Bundle", "entry": entries})
    assert (note.patient_id, note.encounter_id) == ("p77", "e9")
    assert note.encounter_start.isoformat() == "2180-05-01T00:00:00"
    assert note.encounter_end.isoformat() == "2180-05-09T00:00:00"
    assert note.text == "One\n\nTwo"


def test_ndjson_is_read_line_by_line(tmp_path):
    rows = [
        json.dumps({"resourceType": "Patient", "id": "7"}),
        json.dumps(document()),
        "{broken",
        json.dumps(document(id="d2", date="2180-06")),
    ]
    path = tmp_path / "export.ndjson.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    assert recognise(path) == "fhir"
    one, bad, two = read_notes(path)
    assert (one.note_id, two.note_id) == ("d1", "d2")
    assert two.written_at.isoformat() == "2180-06-01T00:00:00"
    assert bad == Reject(str(path), 3, "broken JSON")


def test_the_best_format_is_read(tmp_path):
    content = attachment("application/pdf", b64("%PDF"))
    content += attachment("text/html", b64("<b>html</b>"))
    content += attachment("text/plain; charset=iso-8859-1", b64("naïve", "iso-8859-1"))
    [note] = read(tmp_path, document(content=content))
    assert note.text == "naïve"


def test_a_report_without_attachment_is_its_conclusion_or_narrative(tmp_path):
    report = document(resourceType="DiagnosticReport", content=None, conclusion="No fracture.")
    [note] = read(tmp_path, report)
    assert note.text == "No fracture."
    report.update(conclusion=None, text={"div": "<div>Bone <i>intact</i></div>"})
    [note] = read(tmp_path, report)
    assert note.text == "Bone intact"


SECRET = "Mrs Secret has gout"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"id": None}, "note_id is missing"),
        ({"subject": None}, "patient_id is missing"),
        ({"status": "entered-in-error"}, "entered-in-error"),
        ({"content": []}, "no attachment, no conclusion"),
        ({"content": attachment("text/plain", "*" + b64(SECRET))}, "bad base64"),
        ({"content": attachment("text/plain", b64("é", "latin-1"))}, "not utf-8"),
        ({"content": attachment("text/plain; charset=nonsense", b64(SECRET))}, "not nonsense"),
        ({"content": attachment("application/pdf", b64(SECRET))}, "application/pdf"),
        ({"content": attachment("application/xml", b64(f"<a>{SECRET}</a>"))}, "no C-CDA"),
        ({"content": attachment("application/xml", b64(f"<a>{SECRET}"))}, "broken XML"),
        ({"content": attachment("text/xml", b64(f"<!DOCTYPE a><a>{SECRET}</a>"))}, "refused"),
        ({"content": [{"attachment": {"contentType": "text/plain", "url": "Binary/x"}}]}, "a link"),
        ({"content": {"attachment": SECRET}}, "no attachment"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_a_reason(tmp_path, changes, reason):
    [reject] = read(tmp_path, document(**changes))
    assert isinstance(reject, Reject)
    assert reason in reject.reason
    assert "Secret" not in repr(reject)


def test_constants_of_the_user_win(tmp_path):
    [note] = read(tmp_path, document(subject=None), fields=Fields(constants={"patient_id": "p5"}))
    assert note.patient_id == "p5"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(st.sampled_from(sorted(document())), values, max_size=4))
def test_no_resource_however_strange_ends_the_run(tmp_path_factory, changes):
    changes.pop("resourceType", None)
    rows = read(tmp_path_factory.mktemp("f"), document(**changes), format="fhir")
    assert len(rows) == 1 and isinstance(rows[0], Note | Reject)


def test_html_keeps_words_apart():
    markup = (
        "<style>x{}</style><table><tr><td>Na</td><td>140</td></tr></table><ul><li>a<li>b</ul>&lt;5"
    )
    assert html_text(markup) == "Na | 140\n\n- a\n- b\n<5"


def cda(body):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2" extension="doc9"/><title>Summary</title>
<effectiveTime value="20120806153000-0500"/>
<recordTarget><patientRole><id extension="p3"/></patientRole></recordTarget>
{body}</ClinicalDocument>"""


def test_a_bare_cda_document(tmp_path):
    narrative = "<text><list><item>Latex</item></list></text>"
    section = f"<section><title>Allergies</title>{narrative}</section>"
    body = (
        f"<component><structuredBody><component>{section}</component></structuredBody></component>"
    )
    [note] = read(tmp_path, cda(body), name="x.xml")
    assert (note.note_id, note.patient_id, note.note_type) == ("doc9", "p3", "Summary")
    assert note.written_at.isoformat() == "2012-08-06T15:30:00-05:00"
    assert note.text == "ALLERGIES:\n- Latex"


def test_a_cda_document_around_a_text(tmp_path):
    text = f'<text mediaType="text/plain" representation="B64">{b64("Plain words")}</text>'
    [note] = read(tmp_path, cda(f"<component><nonXMLBody>{text}</nonXMLBody></component>"), "x.xml")
    assert note.text == "Plain words"


def test_the_public_fhir_examples(shared_data):
    rows = [
        row
        for p in sorted((shared_data / "ehr/fhir_us_core").glob("*.json"))
        for row in read_notes(p)
    ]
    notes = {row.note_id: row for row in rows if isinstance(row, Note)}
    assert {"discharge-summary", "episode-summary"} <= set(notes)
    assert notes["discharge-summary"].text.startswith("No activity restriction")
    assert len(rows) == 9


def test_no_word_of_the_public_cda_documents_is_lost(shared_data, tmp_path):
    with tarfile.open(shared_data / "ehr/sample_ccdas.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    read_ones = 0
    for path in tmp_path.rglob("*.xml"):
        [row] = read_notes(path)
        if isinstance(row, Reject):
            assert "text is missing" in row.reason
            continue
        read_ones += 1
        letters = "".join(row.text.split())
        for section in ElementTree.fromstring(path.read_bytes()).iter(f"{CDA}section"):
            narrative = section.find(f"{CDA}text")
            if section.get("nullFlavor") is None and narrative is not None:
                words = " ".join(narrative.itertext()).split()
                lost = [word for word in words if word.strip("|") not in letters]
                assert not lost, path.name
    assert read_ones == 102

"""The FHIR reader on hostile, partial and real input: what it takes, refuses and never mixes up."""

import base64
import copy
import gzip
import json
import tarfile
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drehr_rag.errors import NoteError
from drehr_rag.notes.readers import Fields, fhir, recognise
from drehr_rag.notes.readers._markup import MarkupError, cda_text, html_text, parse_xml
from drehr_rag.types import Note, Reject

CDA = "{urn:hl7-org:v3}"


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def inline(kind, data, **more):
    return {"attachment": {"contentType": kind, "data": b64(data), **more}}


def document(**changes):
    return {
        "resourceType": "DocumentReference",
        "id": "d1",
        "status": "current",
        "type": {"text": "Progress note", "coding": [{"display": "Other"}]},
        "subject": {"reference": "Patient/7"},
        "date": "2180-05-07T10:00:00Z",
        "content": [inline("text/plain", "Has heart failure.")],
        "context": {"encounter": [{"reference": "Encounter/e1"}], "period": {"start": "2180"}},
        **changes,
    }


def report(**changes):
    return {
        "resourceType": "DiagnosticReport",
        "id": "r1",
        "status": "final",
        "code": {"coding": [{"display": "Chest film"}]},
        "subject": {"reference": "Patient/7"},
        "encounter": {"reference": "Encounter/e1"},
        "effectivePeriod": {"start": "2180-05-07"},
        "presentedForm": [inline("text/html", "<p>No fracture.</p>")["attachment"]],
        **changes,
    }


def bundle(*resources, urls=(), **more):
    urls = [*urls, *[None] * len(resources)]
    pairs = zip(resources, urls, strict=False)
    entries = [{"resource": r, **({"fullUrl": u} if u else {})} for r, u in pairs]
    return {"resourceType": "Bundle", "type": "searchset", "entry": entries, **more}


@pytest.fixture
def rows(tmp_path):
    def read(content, name="x.json", **constants):
        path = tmp_path / name
        if not isinstance(content, str | bytes):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return list(fhir.read(path, Fields(constants=constants)))

    return read


@pytest.fixture
def note(rows):
    def read(*args, **options):
        [row] = rows(*args, **options)
        assert isinstance(row, Note), row
        return row

    return read


@pytest.fixture
def reason(rows):
    def read(*args, **options):
        [row] = rows(*args, **options)
        assert isinstance(row, Reject), row
        return row.reason

    return read


def test_a_report_has_its_own_places_for_the_same_fields(note):
    one = note(report())
    assert (one.patient_id, one.encounter_id, one.note_type) == ("7", "e1", "Chest film")
    assert one.written_at.isoformat() == "2180-05-07T00:00:00"
    assert one.text == "No fracture."


def test_the_text_of_a_type_is_preferred_to_its_coding(note):
    assert note(document()).note_type == "Progress note"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"date": "2021"}, "2021-01-01T00:00:00"),
        ({"date": "2021-11"}, "2021-11-01T00:00:00"),
        ({"date": None}, "2180-01-01T00:00:00"),  # context.period.start
        ({"date": None, "context": {}}, None),
    ],
)
def test_times_may_be_partial_or_absent(note, changes, expected):
    written = note(document(**changes)).written_at
    assert (written and written.isoformat()) == expected


@pytest.mark.parametrize("date", ["yesterday", 2021, ["2021"], "2021-13"])
def test_a_wrong_time_is_rejected_not_dropped(reason, date):
    assert "written_at is not a date" in reason(document(date=date))


# Layout of the file


def test_a_single_line_that_speaks_of_a_clinical_document_is_json(note):
    assert note(document(description="a ClinicalDocument, <ClinicalDocument>")).note_id == "d1"


def test_a_pretty_printed_bundle(rows):
    text = json.dumps(bundle(document(), report()), indent=2)
    assert [row.note_id for row in rows("\n" + text)] == ["d1", "r1"]


def test_ndjson_with_a_byte_order_mark_and_blank_lines(rows):
    lines = ["", json.dumps(document()), "", json.dumps(document(id="d2")), ""]
    read = rows("\ufeff" + "\n".join(lines))
    assert [row.note_id for row in read] == ["d1", "d2"]


def test_a_broken_first_line_costs_one_line(rows):
    text = "{broken\n" + json.dumps(document())
    bad, good = rows(text, name="export.ndjson")
    assert (bad.line, bad.reason, good.note_id) == (1, "broken JSON", "d1")


def test_ndjson_is_not_held_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "x.ndjson"
    path.write_text("\n".join(json.dumps(document(id=f"d{n}")) for n in range(3)))
    seen = []
    real = fhir.byte_lines

    def watched(place):
        for number, line in real(place):
            seen.append(number)
            yield number, line

    monkeypatch.setattr(fhir, "byte_lines", watched)
    first = next(fhir.read(path, Fields()))
    assert first.note_id == "d0"
    assert max(seen) == 1


def test_broken_json_is_rejected_with_its_line(rows):
    [bad] = rows('{\n"resourceType": "Bundle",\n"entry": [}\n')
    assert (bad.reason, bad.line) == ("broken JSON", 3)


@pytest.mark.parametrize("deep", ["[" * 200_000, '{"a":' * 200_000, "{\n" + '"a":[' + "[" * 99_999])
def test_json_that_is_too_deep_is_rejected(reason, deep):
    assert "nested too deeply" in reason(deep)


@pytest.mark.parametrize("root", ["5", "[]", '"x"', "null", "{}", '{"resourceType": ["x"]}'])
def test_json_that_is_no_resource_is_rejected(reason, root):
    assert reason(root) == "not a FHIR resource"


def test_a_damaged_gzip_is_a_note_error(tmp_path):
    path = tmp_path / "x.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document(), indent=1).encode())[:-30])
    with pytest.raises(NoteError, match="damaged"):
        list(fhir.read(path, Fields()))


def test_bundles_in_bundles_and_strange_entries(rows):
    inner = bundle(document(id="inner"))
    outer = bundle(report(), inner)
    outer["entry"] += ["x", {"request": {"method": "DELETE"}}, {"resource": 5}]
    one, two, *bad = rows(outer)
    assert (one.note_id, two.note_id) == ("r1", "inner")
    assert [row.reason for row in bad] == ["an entry of a Bundle that is not a FHIR resource"] * 2


def test_an_entry_that_is_no_list(reason):
    assert "entry is not a list" in reason({"resourceType": "Bundle", "entry": {"resource": {}}})


# References


@pytest.mark.parametrize(
    ("reference", "patient"),
    [
        ("Patient/example", "example"),
        ("https://host/fhir/Patient/ex-1.2", "ex-1.2"),
        ("Patient/9/_history/3", "9"),
        ("urn:uuid:6f1", "6f1"),
    ],
)
def test_forms_of_a_reference(note, reference, patient):
    assert note(document(subject={"reference": reference})).patient_id == patient


def test_a_uuid_is_resolved_to_the_resources_own_id(rows):
    people = [{"resourceType": "Patient", "id": "p77"}, {"resourceType": "Encounter", "id": "e9"}]
    people[1]["period"] = {"start": "2180-05", "end": "2180-06-09T01:00:00+02:00"}
    stay = {"encounter": [{"reference": "urn:uuid:bb"}]}
    one = document(subject={"reference": "urn:uuid:aa"}, context=stay)
    [read] = rows(bundle(*people, one, urls=["urn:uuid:aa", "urn:uuid:bb"]))
    assert (read.patient_id, read.encounter_id) == ("p77", "e9")
    assert read.encounter_start.isoformat() == "2180-05-01T00:00:00"
    assert read.encounter_end.isoformat() == "2180-06-09T01:00:00+02:00"


def test_a_contained_patient_is_named_by_its_identifier(note):
    person = {"resourceType": "Patient", "id": "p1", "identifier": [{"value": "MRN5"}]}
    one = note(document(subject={"reference": "#p1"}, contained=[person]))
    assert one.patient_id == "MRN5"


def test_two_contained_patients_with_one_local_id_stay_two(rows):
    person = {"resourceType": "Patient", "id": "p1"}
    both = [document(id=n, subject={"reference": "#p1"}, contained=[person]) for n in ("d1", "d2")]
    assert [row.patient_id for row in rows(bundle(*both))] == ["d1#p1", "d2#p1"]


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ({"reference": "Group/7"}, "not a Patient"),
        ({"identifier": {"value": "7"}, "type": "Group"}, "not a Patient"),
        ({"reference": "Patient?identifier=http://x|7"}, "not a plain reference"),
        ({"reference": "#p1"}, "is not there"),
        ({"reference": 7}, "not a plain reference"),
        ("Patient/7", "subject is not an object"),
        ({}, "patient_id is missing"),
        ({"display": "Mrs Secret"}, "patient_id is missing"),
    ],
)
def test_a_subject_that_is_no_patient_is_rejected(reason, subject, expected):
    assert expected in reason(document(subject=subject))


def test_a_logical_reference(note):
    assert note(document(subject={"identifier": {"value": "MRN5"}})).patient_id == "MRN5"


def test_an_episode_of_care_is_no_encounter(note):
    context = {"encounter": [{"reference": "EpisodeOfCare/e1"}]}
    assert note(document(context=context)).encounter_id is None


def test_constants_win_and_spare_the_reference(note):
    one = note(document(subject="broken", date=None), patient_id="p5", note_type="Letter")
    assert (one.patient_id, one.note_type) == ("p5", "Letter")


# Attachments


def test_a_binary_in_the_bundle_gives_data_and_type(rows):
    link = [{"attachment": {"url": "https://a/fhir/Binary/b1"}}]
    binary = {"resourceType": "Binary", "id": "b1", "contentType": "text/html", "data": b64("<b>x")}
    [read] = rows(bundle(binary, document(content=link), urls=["https://a/fhir/Binary/b1"]))
    assert read.text == "x"


def test_a_link_to_another_server_does_not_find_a_namesake(rows):
    link = [{"attachment": {"contentType": "text/plain", "url": "https://b/fhir/Binary/b1"}}]
    binary = {"resourceType": "Binary", "id": "b1", "data": b64("another patient's")}
    [read] = rows(bundle(binary, document(content=link), urls=["https://a/fhir/Binary/b1"]))
    assert read.reason == fhir.LINK


def test_a_better_format_that_cannot_be_read_gives_way(note):
    link = {"attachment": {"contentType": "text/plain", "url": "Binary/none"}}
    assert note(document(content=[link, inline("text/html", "<p>yes")])).text == "yes"


def test_the_order_of_formats(note):
    section = "<component><section><text>third</text></section></component>"
    markup = cda(f"<component><structuredBody>{section}</structuredBody></component>")
    third = inline("application/xml", markup)
    second = inline("application/xhtml+xml", "<p>second</p>")
    first = inline("text/plain", "first")
    assert note(document(content=[third])).text == "third"
    assert note(document(content=[third, second])).text == "second"
    assert note(document(content=[third, second, first])).text == "first"


def test_charsets(note):
    latin = inline("text/plain; Charset = 'ISO-8859-1'", "naïve".encode("latin-1"))
    assert note(document(content=[latin])).text == "naïve"
    marked = inline("text/plain;charset=utf-8", b"\xef\xbb\xbfna\xc3\xafve")
    assert note(document(content=[marked])).text == "naïve"


@pytest.mark.parametrize(
    ("attachment", "expected"),
    [
        (inline("text/plain;charset=undefined", "Secret"), "not undefined"),
        (inline("text/plain;charset=idna", b"\xff\xfe"), "not idna"),
        (inline("text/plain;charset=hex", "Secret"), "not hex"),
        (inline("text/plain", b"\xff"), "not utf-8"),
        (inline("text/rtf", "Secret"), "text/rtf: none can be read"),
        (inline("application/pdf", "Secret"), "application/pdf: none can be read"),
        (inline("Mrs Secret", "x"), "of no known type"),
        (inline(5, "x"), "of no known type"),
        ({"attachment": {"contentType": "text/plain", "data": "U2Vj*cmV0"}}, "bad base64"),
        ({"attachment": {"contentType": "text/plain", "data": "U2V"}}, "bad base64"),
        ({"attachment": {"contentType": "text/plain", "data": "é"}}, "bad base64"),
        ({"attachment": {"contentType": "text/plain", "data": 5}}, "no data"),
        ({"attachment": {"contentType": "text/plain", "data": ""}}, "text is missing"),
        ({"attachment": {"contentType": "text/plain", "url": "Binary/x"}}, fhir.LINK),
        ({"attachment": {"url": "Binary/x"}}, fhir.LINK),
        ({"attachment": "Secret"}, "attachment is not an object"),
        ("Secret", "not an object"),
        (inline("text/html", "<p>Secret<![foo[x]]>"), "broken HTML"),
        (inline("application/xml", "<ClinicalDocument>Secret</ClinicalDocument>"), "no C-CDA"),
    ],
)
def test_an_attachment_that_cannot_be_read(rows, attachment, expected):
    [reject] = rows(document(content=[attachment]))
    assert isinstance(reject, Reject) and expected in reject.reason
    assert "secret" not in repr(reject).lower()
    assert reject.note_id == "d1"


def test_a_report_whose_attachment_is_unreadable_is_not_its_conclusion(reason):
    form = [{"contentType": "application/pdf", "data": b64("x")}]
    assert "application/pdf" in reason(report(presentedForm=form, conclusion="Fine."))


def test_a_report_without_attachment(note, reason):
    both = {"conclusion": "Fine.", "text": {"div": "<div>Also <b>this</b></div>"}}
    assert note(report(presentedForm=None, **both)).text == "Fine."
    both["conclusion"] = " "
    assert note(report(presentedForm=[], **both)).text == "Also this"
    assert "no attachment" in reason(report(presentedForm=None))


def test_the_narrative_of_a_document_reference_is_not_the_document(reason):
    narrative = {"div": "<div>metadata</div>"}
    assert "no attachment" in reason(document(content=[], text=narrative))


@pytest.mark.parametrize("field", ["status", "docStatus"])
def test_what_was_entered_in_error_is_rejected(reason, field):
    assert reason(document(**{field: "entered-in-error"})) == "its status is entered-in-error"


# Whatever is wrong with a resource, it becomes a note or a reject

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)
known_words = st.sampled_from(
    [{"reference": "#p1"}, {"reference": "urn:uuid:aa"}, "#p1", "text/html", "PGI+eA==", [[]], [{}]]
)


def places(value, path=()):
    """The path to each value inside a JSON value."""
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in inside if isinstance(value, dict | list) else ():
        yield from places(child, (*path, key)) if isinstance(child, dict | list) else [(*path, key)]


@settings(max_examples=400, deadline=None)
@given(data=st.data(), source=st.sampled_from([document, report]))
def test_no_mutation_of_a_resource_ends_the_run(tmp_path_factory, data, source):
    person = {"resourceType": "Patient", "id": "p1", "identifier": [{"value": "m"}]}
    whole = copy.deepcopy(bundle(person, source(contained=[person]), urls=["urn:uuid:aa"]))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(list(places(whole))))
        holder = whole
        for key in path:
            holder = holder[key]
        holder[last] = copy.deepcopy(data.draw(junk | known_words))
    path = tmp_path_factory.mktemp("f") / "x.json"
    path.write_text(json.dumps(whole))
    for row in fhir.read(path, Fields()):
        assert isinstance(row, Note | Reject)
        assert isinstance(row, Note) or row.reason


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60) | st.text(alphabet='{}[]",:<>/!a1 \n', max_size=60))
def test_no_content_of_a_file_ends_the_run(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("f") / "x.json"
    raw = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(raw.removeprefix(b"\x1f\x8b"))
    assert all(isinstance(row, Reject) for row in fhir.read(path, Fields()))


# HTML


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>One</p><p>Two<br/>lines<br>here</p>", "One\n\nTwo\nlines\nhere"),
        ("<ul><li>a</li><li><p>b</p><ul><li>c</li></ul></li></ul>d", "- a\n- b\n- c\nd"),
        ("<table><tr><td><p>Na</p></td><td><p>140</p></td></tr></table>", "Na | 140"),
        ("<table><tr><td></td><td>1</td></tr><tr><td></td></tr><tr><td>2</table>", "| 1\n2"),
        ("<pre>HPI:\nwell\n\nPMH:\nnone</pre>", "HPI:\nwell\n\nPMH:\nnone"),
        ("<p>a\r\nb&nbsp;&amp; c &lt; 5</p>", "a b & c < 5"),
        ("<p>|x| and |y|</p>", "|x| and |y|"),
        ("<html><head><title>t</title><style>s</style><body>text", "text"),
        ("<script>var a='<p>'</script>b<style>c</style>", "b"),
        ("<div><![CDATA[x < y]]></div>", "x < y"),
        ("<p><![if !supportLists]>q<![endif]></p>", "q"),
        ("H<sub>2</sub>O", "H2O"),
        ("<tr><td>a<td><ul><li></ul><td><ul><li>c<li>d</ul></tr>", "a | | - c\n- d"),
        ("</table></ul></td>x", "x"),
        ("", ""),
    ],
)
def test_html(markup, text):
    assert html_text(markup) == text


# C-CDA


def cda(body, head=""):
    return (
        '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3">'
        '<id root="1.2" extension="doc9"/><code displayName="Consult note"/>'
        f'<recordTarget><patientRole><id nullFlavor="NI" root="2"/><id extension="p3"/>'
        f"</patientRole></recordTarget>{head}{body}</ClinicalDocument>"
    )


def sections(*sections):
    inside = "".join(f"<component>{section}</component>" for section in sections)
    return cda(f"<component><structuredBody>{inside}</structuredBody></component>")


def test_the_header_of_a_cda_document(note):
    head = (
        '<title/><effectiveTime value="201208"/><componentOf><encompassingEncounter>'
        '<id extension="e5"/><effectiveTime><low value="20120806"/>'
        '<high value="2012080715-0500"/></effectiveTime></encompassingEncounter></componentOf>'
    )
    text = '<component><nonXMLBody><text mediaType="text/html; charset=utf-8" representation="B64">'
    one = note(cda(f"{text}{b64('<b>x</b>')}</text></nonXMLBody></component>", head))
    assert (one.note_id, one.patient_id, one.encounter_id) == ("doc9", "p3", "e5")
    assert (one.note_type, one.text) == ("Consult note", "x")
    assert one.written_at.isoformat() == "2012-08-01T00:00:00"
    assert one.encounter_start.isoformat() == "2012-08-06T00:00:00"
    assert one.encounter_end.isoformat() == "2012-08-07T15:00:00-05:00"


def test_sections_nested_empty_and_null(note):
    inner = "<component><section><title>Heart:</title><text>No murmur</text></section></component>"
    one = note(
        sections(
            f"<section><title>Physical\n exam</title><text>Well</text>{inner}</section>",
            "<section><title>Empty</title><text><table><tr><td/></tr></table></text></section>",
            "<section><title>None</title></section>",
            '<section nullFlavor="NI"><title>Null</title><text>hidden</text></section>',
            '<section><code displayName="Plan"/><text>Rest</text></section>',
        )
    )
    assert one.text == "PHYSICAL EXAM:\nWell\n\nHEART:\nNo murmur\n\nPLAN:\nRest"


def test_narrative_blocks():
    table = "<table><thead><tr><th>Drug</th><th>Dose</th></tr></thead><tbody><tr>"
    table += "<td>\n <content>A\n b</content><br/></td><td><list><item>1</item></list></td>"
    table += "</tr></tbody></table>"
    text = f"<text>before\n\n  wrapped{table}<paragraph>after<br/>line</paragraph></text>"
    root = parse_xml(sections(f"<section>{text}</section>"))
    assert cda_text(root) == "before\nwrapped\n\nDrug | Dose\nA b | - 1\n\nafter\nline"


def test_prefixed_and_utf16_documents(note, tmp_path):
    section = "<section><text>naïve</text></section>"
    plain = sections(section).replace('version="1.0"', 'version="1.0" encoding="UTF-16"')
    prefixed = sections(section).replace("</", "</c:").replace("<", "<c:").replace("<c:?", "<?")
    prefixed = prefixed.replace("<c:/c:", "</c:").replace('xmlns="', 'xmlns:c="')
    for content in (plain.encode("utf-16"), prefixed.encode()):
        assert note(content, name="x.xml").text == "naïve"
        assert recognise(tmp_path / "x.xml") == "fhir"


def test_an_encoding_that_is_declared(note):
    markup = sections("<section><text>naïve</text></section>")
    markup = markup.replace('version="1.0"', 'version="1.0" encoding="ISO-8859-1"')
    attached = inline("text/xml", markup.encode("latin-1"))
    assert note(markup.encode("latin-1"), name="x.xml").text == "naïve"
    assert note(document(content=[attached])).text == "naïve"


def non_xml(attributes, inside):
    return cda(
        f"<component><nonXMLBody><text {attributes}>{inside}</text></nonXMLBody></component>"
    )


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("<a>Secret</a>", "no C-CDA"),
        ("<ClinicalDocument>Secret</ClinicalDocument>", "no C-CDA"),
        ("<ClinicalDocument xmlns='urn:hl7-org:v3'>Secret", "broken XML"),
        ("<!DOCTYPE x [<!ENTITY a 'Secret'>]><x>&a;</x>", "refused"),
        ("<?xml version='1.0' encoding='nonsense'?><x>Secret</x>", "not nonsense"),
        (sections("<section><title>Secret</title></section>"), "text is missing"),
        (non_xml('mediaType="application/pdf" representation="B64"', "U2Vj"), "application/pdf"),
        (non_xml('mediaType="Mrs Secret"', "x"), "of no known type"),
        (non_xml('mediaType="text/plain" representation="B64"', "*"), "bad base64"),
        (non_xml('mediaType="text/plain"', '<reference value="a.pdf"/>'), "only a link"),
        (
            sections(f"<section><text>{'<br>' * 5000}{'</br>' * 5000}</text></section>"),
            "nested too deeply",
        ),
        (cda("<component/>", '<effectiveTime value="soon"/>'), "text is missing"),
    ],
)
def test_a_cda_document_that_cannot_be_read(rows, markup, expected):
    [reject] = rows(markup, name="x.xml")
    assert isinstance(reject, Reject) and expected in reject.reason
    assert "Secret" not in repr(reject)


def test_a_cda_document_needs_a_patient_and_a_true_time(reason):
    text = sections("<section><text>x</text></section>")
    assert "patient_id is missing" in reason(text.replace('<id extension="p3"/>', ""))
    late = text.replace("<recordTarget>", '<effectiveTime value="-08"/><recordTarget>')
    assert "written_at is not a date" in reason(late)


def test_entities_are_refused_before_they_are_read():
    with pytest.raises(MarkupError, match="refused"):
        parse_xml("<!DOCTYPE x><x/>")


# Real files


def test_the_us_core_examples(shared_data):
    read = {
        path.name.split("-", 1)[1]: list(fhir.read(path, Fields()))
        for path in sorted((shared_data / "ehr/fhir_us_core").glob("*.json"))
    }
    assert all(len(found) == 1 for found in read.values())
    rows = {found[0].note_id: found[0] for found in read.values()}
    notes = {name for name, row in rows.items() if isinstance(row, Note)}
    assert notes == {"chest-xray-report", "discharge-summary", "episode-summary"}
    assert {rows[name].patient_id for name in notes} == {"example"}
    reasons = [row.reason for row in rows.values() if isinstance(row, Reject)]
    assert sum("application/pdf" in reason for reason in reasons) == 4
    assert sum("no attachment" in reason for reason in reasons) == 2


@pytest.fixture(scope="module")
def real_cdas(shared_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ccda")
    with tarfile.open(shared_data / "ehr/sample_ccdas.tar.gz") as tar:
        tar.extractall(folder, filter="data")
    return sorted(folder.rglob("*.xml"))


def test_each_word_of_the_public_cda_documents_is_in_the_note_in_order(real_cdas):
    words_seen = 0
    notes = [(path, row) for path in real_cdas for row in fhir.read(path, Fields())]
    assert len(notes) == len(real_cdas) == 104
    rejected = {path.name: row.reason for path, row in notes if isinstance(row, Reject)}
    assert set(rejected) == {"UD.sample.xml", "kinsights-sample-timmy.xml"}
    assert all("text is missing" in reason for reason in rejected.values())
    for path, row in notes:
        if isinstance(row, Reject):
            continue
        position = 0
        for section in ElementTree.fromstring(path.read_bytes()).iter(f"{CDA}section"):
            narrative = section.find(f"{CDA}text")
            if section.get("nullFlavor") is not None or narrative is None:
                continue
            for word in " ".join(narrative.itertext()).split():
                found = row.text.find(word, position)
                assert found >= 0, (path.name, word)
                position = found + len(word)
                words_seen += 1
    assert words_seen > 50_000


def test_the_public_cda_documents_are_recognised(real_cdas):
    assert {recognise(path) for path in real_cdas} == {"fhir"}

"""Files to notes: every format, every way to be broken; what is broken is named, never shown."""

import csv
import gzip
import io
import json
import os
import threading
import tracemalloc
from datetime import datetime
from itertools import islice

import pytest

from drehr_rag import Fields, read_notes
from drehr_rag.errors import NoNotes, NoteError, UnknownName
from drehr_rag.notes.readers import recognise
from drehr_rag.types import Note, Reject

SECRET = "Zebedee"
ROW = {"note_id": "n1", "patient_id": "p1", "text": f"{SECRET} has gout."}

MIMIC3 = (
    '"ROW_ID","SUBJECT_ID","HADM_ID","CHARTDATE","CHARTTIME","STORETIME","CATEGORY",'
    '"DESCRIPTION","CGID","ISERROR","TEXT"\n'
)
MIMIC4 = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"


@pytest.fixture(params=["plain", "gz"])
def write(request, tmp_path):
    """Writes a file of this name, gzipped in half of the runs."""

    def write_file(name, content):
        data = content.encode() if isinstance(content, str) else content
        if request.param == "gz":
            name, data = f"{name}.gz", gzip.compress(data)
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file


def split(path, **options):
    """The notes and the rejects of a file."""
    rows = list(read_notes(path, **options))
    return [r for r in rows if isinstance(r, Note)], [r for r in rows if isinstance(r, Reject)]


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(*rows):
    """CSV as a program would write it."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


# --- JSON Lines


def test_jsonl(write):
    full = {
        **ROW,
        "encounter_id": 7,
        "encounter_start": "2180-05-06",
        "encounter_end": "2180-05-09",
        "note_type": "Progress note",
        "written_at": "2180-05-07T13:01:00",
        "metadata": {"ward": "7B", "beds": [1, 2]},
    }
    notes, rejects = split(write("notes.jsonl", jsonl(full, {**ROW, "note_id": 2})))
    assert rejects == []
    assert notes[0] == Note(**{**full, "encounter_id": "7"})
    assert notes[1].note_id == "2"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken " + SECRET, "broken JSON"),
        ('"' + SECRET + '"', "not a JSON object"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "broken JSON"),
        (json.dumps({**ROW, "note_id": None}), "note_id is missing"),
        (json.dumps({"note_id": "x", "text": SECRET}), "patient_id is missing"),
        (json.dumps({**ROW, "text": " "}), "text is missing or holds no text"),
        (json.dumps({**ROW, "text": {"a": SECRET}}), "text is missing or holds no text"),
        (json.dumps({**ROW, "patient_id": 1.5}), "patient_id is a fraction"),
        (json.dumps({**ROW, "patient_id": True}), "patient_id is missing or is not text"),
        (json.dumps({**ROW, "written_at": SECRET}), "written_at is not a date"),
        (json.dumps({**ROW, "metadata": SECRET}), "metadata"),
        (json.dumps({**ROW, "text": SECRET + "\ud800"}), "text holds half of a surrogate"),
    ],
)
def test_a_bad_line_is_set_aside(write, line, reason):
    good = json.dumps({**ROW, "note_id": "good"})
    path = write("notes.jsonl", f"{good}\n\n{line}\n{good}\n")
    notes, (reject,) = split(path)
    assert [note.note_id for note in notes] == ["good", "good"]
    assert (reject.file, reject.line) == (str(path), 3)
    assert reason in reject.reason
    assert SECRET not in repr(reject)


def test_undecodable_bytes_cost_one_line(write):
    good = jsonl(ROW).encode()
    bad = json.dumps({**ROW, "text": "caf?"}).encode().replace(b"?", b"\xe9") + b"\n"
    notes, (reject,) = split(write("notes.jsonl", good + bad + good))
    assert len(notes) == 2
    assert (reject.line, reject.reason) == (2, "bytes that are not UTF-8")


def test_a_reject_names_the_note_if_it_can(write):
    _, (reject,) = split(write("n.jsonl", jsonl({"note_id": "n7", "patient_id": "p1"})))
    assert reject.note_id == "n7"


def test_metadata_that_cannot_be_stored_is_set_aside(write):
    rows = [{**ROW, "metadata": {"ward": "\ud800"}}, ROW]
    notes, rejects = split(write("n.jsonl", jsonl(*rows)))
    assert (len(notes), len(rejects)) == (1, 1)


def test_metadata_columns_beside_broken_metadata(write):
    """A row whose `metadata` is no object must not stop the run."""
    path = write("n.jsonl", jsonl({**ROW, "metadata": "words", "ward": "7B"}, ROW))
    notes, rejects = split(path, fields=Fields(metadata=("ward",)))
    assert (len(notes), len(rejects)) == (1, 1)


# --- columns, constants, metadata


def test_columns_constants_and_metadata(write):
    row = {"id": 5, "pid": 9, "body": "Gout.", "ward": "7B", "shelf": None, "note_type": "X"}
    fields = Fields(
        columns={"note_id": "id", "patient_id": "pid", "text": "body"},
        constants={"note_type": "Letter"},
        metadata=("ward", "shelf"),
    )
    (note,), _ = split(write("n.jsonl", jsonl(row)), fields=fields)
    assert note == Note(
        note_id="5", patient_id="9", text="Gout.", note_type="Letter", metadata={"ward": "7B"}
    )


def test_a_reject_names_the_column_it_came_from(write):
    fields = Fields(columns={"patient_id": "pid"})
    _, (reject,) = split(write("n.jsonl", jsonl({**ROW, "pid": ""})), fields=fields)
    assert reject.reason == "patient_id (from 'pid') is empty"


@pytest.mark.parametrize("how", ["columns", "constants"])
def test_fields_that_no_note_has(how):
    with pytest.raises(UnknownName, match="no field 'pateint_id'"):
        Fields(**{how: {"pateint_id": "x"}})


def test_a_mapped_column_must_exist(write):
    path = write("n.csv", "note_id,patient_id,text\nn1,p1,Gout.\n")
    with pytest.raises(UnknownName, match=r"no column 'pid'.*note_id, patient_id, text"):
        split(path, fields=Fields(columns={"patient_id": "pid"}))


def test_a_metadata_column_must_exist_too(write):
    path = write("n.csv", "note_id,patient_id,text,ward\nn1,p1,Gout.,7B\n")
    with pytest.raises(UnknownName, match="no column 'wrad'"):
        split(path, fields=Fields(metadata=("wrad",)))


def test_a_table_without_header_does_not_show_its_first_row(write):
    path = write("n.csv", f"n1,p1,{SECRET} came in with a swollen and very painful left toe\n")
    with pytest.raises(UnknownName) as caught:
        split(path, fields=Fields(columns={"patient_id": "pid"}))
    assert SECRET not in str(caught.value)


# --- CSV


def test_csv_fields_hold_line_breaks_and_line_numbers_stay_right(write):
    rows = [
        ["note_id", "patient_id", "text"],
        ["n1", "p1", 'HPI:\ngout, "podagra"\n'],
        ["n2", "", SECRET],
        ["n3", "p3", "one\r\ntwo"],
        ["n4", "p4"],
        ["n5", "p5", "last"],
    ]
    notes, rejects = split(write("n.csv", table(*rows)))
    assert [note.text for note in notes] == ['HPI:\ngout, "podagra"\n', "one\r\ntwo", "last"]
    assert [(r.line, r.reason) for r in rejects] == [
        (5, "patient_id is empty"),
        (8, "2 fields where the header has 3"),
    ]
    assert SECRET not in repr(rejects)


def test_csv_with_byte_order_mark_crlf_blank_lines_and_tabs(write):
    csv_file = write("n.csv", "\ufeffnote_id,patient_id,text\r\nn1,p1,Gout.\r\n\r\nn2,p2,Toe.\r\n")
    assert [n.text for n in split(csv_file)[0]] == ["Gout.", "Toe."]
    tsv_file = write("n.tsv", "note_id\tpatient_id\ttext\nn1\tp1\tGout, left.\n")
    assert split(tsv_file)[0][0].text == "Gout, left."


def test_jsonl_with_byte_order_mark_and_crlf(write):
    path = write("n.jsonl", "\ufeff" + jsonl(ROW).replace("\n", "\r\n"))
    assert split(path) == ([Note(**ROW)], [])


def test_csv_undecodable_bytes_cost_one_row(write):
    path = write("n.csv", b"note_id,patient_id,text\nn1,p1,caf\xe9\nn2,p2,Toe.\n")
    (note,), (reject,) = split(path)
    assert note.note_id == "n2"
    assert (reject.line, reject.reason) == (2, "bytes that are not UTF-8")


@pytest.mark.parametrize("after", ["n2,p2,Diabetes.\n", 'n2,p2,"Diabetes."\n'])
def test_a_quote_never_closed_does_not_give_one_patient_the_notes_of_another(write, after):
    path = write("n.csv", f'note_id,patient_id,text\nn1,p1,"Gout.\n{after}')
    notes, rejects = split(path)
    assert rejects
    assert not [n for n in notes if n.patient_id == "p1" and "Diabetes" in n.text]


def test_a_very_long_field(write):
    path = write("n.csv", "note_id,patient_id,text\nn1,p1," + "gout " * 60_000 + "\n")
    assert len(split(path)[0][0].text) == 300_000


# --- MIMIC


def test_mimic3(write):
    path = write(
        "NOTEEVENTS.csv",
        MIMIC3
        + '174,22532,167853,2151-08-04,,,"Discharge summary","Report",,,"Admission:\n[**x**]"\n'
        + '175,22532,,2151-08-05,"2151-08-05 09:30:00",,"Nursing","Report",17698,,"Sleeping"\n'
        + f'176,22532,167853,2151-08-06,,,"Nursing","Report",17698,"1","{SECRET}"\n'
        + f'177,,167853,2151-08-06,,,"Nursing","Report",17698,"","{SECRET}"\n',
    )
    assert recognise(path) == "mimic3"
    notes, rejects = split(path)
    assert notes[0] == Note(
        note_id="174",
        patient_id="22532",
        encounter_id="167853",
        note_type="Discharge summary",
        written_at=datetime(2151, 8, 4),
        text="Admission:\n[**x**]",
    )
    assert notes[1].encounter_id is None
    assert notes[1].written_at == datetime(2151, 8, 5, 9, 30)
    assert [(r.line, r.reason) for r in rejects] == [
        (5, "marked as an error by a physician (ISERROR)"),
        (6, "patient_id (from 'subject_id') is missing"),
    ]
    assert SECRET not in repr(rejects)


def test_mimic3_as_pandas_writes_it(write):
    """A column of whole numbers with a gap becomes floats: 167853.0, and 1.0 for ISERROR."""
    path = write(
        "NOTEEVENTS.csv",
        MIMIC3.replace('"', "")
        + "174,22532,167853.0,2151-08-04,,,Nursing,Report,17698.0,,Sleeping\n"
        + "175,22532,,2151-08-04,,,Nursing,Report,,1.0,Wrong patient\n",
    )
    notes, rejects = split(path)
    assert [n.encounter_id for n in notes] == ["167853"]
    assert ["ISERROR" in r.reason for r in rejects] == [True]


def test_mimic_columns_may_be_named_as_in_the_file(write):
    line = "174,22532,,2151-08-04,,,Nursing,Generic Note,,,Sleeping\n"
    fields = Fields(columns={"note_type": "DESCRIPTION"}, metadata=("CATEGORY",))
    (note,), _ = split(write("N.csv", MIMIC3 + line), fields=fields)
    assert note.note_type == "Generic Note"
    assert list(note.metadata.values()) == ["Nursing"]


def test_mimic4(write):
    path = write(
        "discharge.csv",
        MIMIC4
        + '10000032-DS-21,10000032,22595853,DS,21,2180-05-07 00:00:00,,"Name: ___\n\nGout."\n'
        + "10000032-RR-14,10000032,,RR,14,2180-05-06 21:19:00,,EXAMINATION: chest\n"
        + f"10000032-XX-1,10000032,,XX,1,not a time,,{SECRET}\n"
        + "10000032-XX-2,10000032,,,2,,,Toe\n",
    )
    assert recognise(path) == "mimic4"
    notes, (reject,) = split(path)
    assert notes[0] == Note(
        note_id="10000032-DS-21",
        patient_id="10000032",
        encounter_id="22595853",
        note_type="Discharge summary",
        written_at=datetime(2180, 5, 7),
        text="Name: ___\n\nGout.",
    )
    assert [n.note_type for n in notes[1:]] == ["Radiology report", None]
    assert (reject.line, reject.note_id) == (6, "10000032-XX-1")
    assert "not a date" in reject.reason
    assert SECRET not in repr(reject)


def test_mimic4_as_pandas_writes_it(write):
    line = "10000032-RR-14,10000032,22595853.0,RR,14,2180-05-06 21:19:00,,chest\n"
    (note,), _ = split(write("radiology.csv", MIMIC4 + line))
    assert note.encounter_id == "22595853"


@pytest.mark.parametrize(("name", "header"), [("mimic3", MIMIC3), ("mimic4", MIMIC4)])
def test_mimic_needs_its_columns(write, name, header):
    path = write("n.csv", header.lower().replace("hadm_id", "stay"))
    with pytest.raises(UnknownName, match="no column 'hadm_id'"):
        split(path, format=name)


# --- a folder of texts


def test_text_folder(tmp_path):
    (tmp_path / "p1" / "2180").mkdir(parents=True)
    (tmp_path / "p1" / "2180" / "a.txt").write_bytes("\ufeffGout.\r\n".encode())
    (tmp_path / "p1" / "b.txt.gz").write_bytes(gzip.compress(b"Toe."))
    (tmp_path / "p2").mkdir()
    (tmp_path / "p2" / "c.txt").write_bytes(b"caf\xe9 " + SECRET.encode())
    (tmp_path / "p2" / "d.txt").write_bytes(b" \n")
    (tmp_path / "p2" / "e.txt.gz").write_bytes(gzip.compress(b"Toe." * 99)[:20])
    (tmp_path / "p2" / "scan.pdf").write_bytes(b"%PDF")
    (tmp_path / ".DS_Store").write_bytes(b"")
    (tmp_path / "loose.txt").write_text(SECRET)
    assert recognise(tmp_path) == "text"
    notes, rejects = split(tmp_path, fields=Fields(constants={"note_type": "Letter"}))
    assert [(n.note_id, n.patient_id, n.text, n.note_type) for n in notes] == [
        ("p1/2180/a.txt", "p1", "Gout.\r\n", "Letter"),
        ("p1/b.txt.gz", "p1", "Toe.", "Letter"),
    ]
    assert {r.file.removeprefix(f"{tmp_path}/"): r.reason.split(",")[0] for r in rejects} == {
        "loose.txt": "lies in no patient's folder",
        "p2/c.txt": "bytes that are not UTF-8",
        "p2/d.txt": "text is missing or holds no text",
        "p2/e.txt.gz": "cannot be read: EOFError",
        "p2/scan.pdf": "not a text file (.txt",
    }
    assert SECRET not in repr(rejects)


def test_one_text_file_needs_a_patient(tmp_path):
    (tmp_path / "a.txt").write_text("Gout.")
    (note,), _ = split(tmp_path / "a.txt", fields=Fields(constants={"patient_id": "p9"}))
    assert (note.note_id, note.patient_id) == ("a.txt", "p9")
    assert split(tmp_path / "a.txt")[0] == []


def test_a_garbled_gz_in_a_folder_costs_one_note(tmp_path):
    (tmp_path / "p1").mkdir()
    data = bytearray(gzip.compress(b"gout and more of it, " * 50))
    data[12:18] = b"\xff" * 6
    (tmp_path / "p1" / "a.txt.gz").write_bytes(data)
    (tmp_path / "p1" / "b.txt").write_text("Toe.")
    notes, rejects = split(tmp_path)
    assert (len(notes), len(rejects)) == (1, 1)


# --- recognition and files that cannot be used


@pytest.mark.parametrize(
    ("name", "content", "format_"),
    [
        ("a.jsonl", "", "jsonl"),
        ("a.ndjson", jsonl(ROW), "jsonl"),
        ("export", jsonl(ROW), "jsonl"),
        ("a.csv", "note_id,patient_id,text\n", "csv"),
        ("a.tsv", "note_id\tpatient_id\ttext\n", "csv"),
        ("a.csv", MIMIC3, "mimic3"),
        ("a.csv", MIMIC3.lower().replace('"', ""), "mimic3"),
        ("a.csv", "\ufeff" + MIMIC4.replace("\n", "\r\n"), "mimic4"),
        ("a.txt", "Gout.", "text"),
    ],
)
def test_recognise(write, name, content, format_):
    assert recognise(write(name, content)) == format_


def test_a_format_that_nobody_knows(write):
    with pytest.raises(UnknownName, match=r"cannot tell the format of .*jsonl"):
        recognise(write("a.bin", b"\x00\x01"))
    with pytest.raises(UnknownName, match=r"no reader is called 'json'.*Did you mean 'jsonl'"):
        list(read_notes(write("a.bin", b""), format="json"))


@pytest.mark.parametrize("format_", [None, "jsonl", "csv", "mimic3", "mimic4", "text"])
def test_a_missing_file(tmp_path, format_):
    with pytest.raises(NoteError, match="there is no file"):
        list(read_notes(tmp_path / "none.jsonl", format=format_))


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
@pytest.mark.parametrize("content", ["", "\n\n"])
def test_an_empty_file_is_an_error(write, name, content):
    with pytest.raises(NoteError):
        list(read_notes(write(name, content)))


@pytest.mark.parametrize("content", ["note_id,patient_id,text\n", MIMIC3, MIMIC4])
def test_a_header_alone_is_no_note(write, content):
    with pytest.raises(NoNotes, match="holds no note"):
        list(read_notes(write("a.csv", content)))


def test_an_empty_folder_is_no_note(tmp_path):
    with pytest.raises(NoNotes):
        list(read_notes(tmp_path))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz"])
def test_a_gz_cut_off_gives_its_whole_lines_and_then_an_error(tmp_path, name):
    lines = [json.dumps({**ROW, "note_id": f"n{i}"}) for i in range(5000)]
    if "csv" in name:
        lines = ["note_id,patient_id,text", *(f"n{i},p{i % 7},gout {i}" for i in range(5000))]
    whole = gzip.compress("\n".join(lines).encode())
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    seen = []
    with pytest.raises(NoteError, match=r"damaged after line \d+"):
        seen.extend(read_notes(tmp_path / name))
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    stream = read_notes(tmp_path / name)
    assert [note.note_id for note in islice(stream, 100)] == [f"n{i}" for i in range(100)]


def test_gz_is_told_by_its_bytes_not_its_name(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(jsonl(ROW).encode()))
    (tmp_path / "b.jsonl.gz").write_text(jsonl(ROW))
    assert split(tmp_path / "a.jsonl") == split(tmp_path / "b.jsonl.gz") == ([Note(**ROW)], [])


# --- memory


@pytest.mark.parametrize("zipped", [False, True])
def test_reading_takes_constant_memory(tmp_path, zipped):
    path = tmp_path / ("big.jsonl.gz" if zipped else "big.jsonl")
    line = json.dumps({**ROW, "text": "gout and toe, " * 1400}).encode() + b"\n"
    with gzip.open(path, "wb", compresslevel=1) if zipped else path.open("wb") as out:
        size = sum(out.write(line) for _ in range(60_000_000 // len(line) + 1))
    assert size > 60_000_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_notes(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == size // len(line)
    assert peak < 3_000_000


# --- what a first user ran into


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("id,patient,body\n1,p,x\n", "it has id, patient, body"),
        (f"1,P,{SECRET} has gout\n", "it has …, P, …"),
        ("note_id;patient_id;text\n1;p;x\n", "it has …"),
    ],
)
def test_a_csv_without_the_columns_is_told_at_once(write, header, shown):
    with pytest.raises(UnknownName) as error:
        list(read_notes(write("a.csv", header)))
    assert shown in str(error.value) and "--column note_id=COLUMN" in str(error.value)
    assert SECRET not in str(error.value)


def test_utf16_csv_is_named(write):
    with pytest.raises(NoteError, match=r"is UTF-16: convert it with iconv"):
        list(read_notes(write("a.csv", "note_id,patient_id,text\n".encode("utf-16"))))


def test_text_mapped_to_an_id_is_not_shown(write):
    path = write("a.jsonl", jsonl({"n": f"{SECRET} has gout", "patient_id": "p", "text": ""}))
    _, rejects = split(path, fields=Fields({"note_id": "n"}))
    assert len(rejects) == 1 and SECRET not in repr(rejects)


def test_rows_that_are_taken_back_say_of_whom(write):
    row = "7,77.0,5,2150-01-01,,,Nursing,x,1,1,gout\n"
    notes, rejects = split(write("NOTEEVENTS.csv", MIMIC3 + row))
    assert notes == []
    assert (rejects[0].note_id, rejects[0].retracted) == ("7", True)
    path = write("b.jsonl", jsonl({"note_id": 1, "patient_id": 2, "text": " "}))
    _, (reject,) = split(path)
    assert (reject.note_id, reject.patient_id, reject.retracted) == ("1", "2", True)
    path = write("c.jsonl", jsonl({**ROW, "written_at": "yesterday"}))
    assert not split(path)[1][0].retracted


def test_a_column_that_no_line_has_is_warned_of(write, caplog):
    list(read_notes(write("a.jsonl", jsonl(ROW)), fields=Fields({"note_type": "nope"})))
    assert "no line of" in caplog.text and "nope" in caplog.text


def test_columns_cannot_be_mapped_where_there_are_none(tmp_path):
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "a.txt").write_text("gout")
    with pytest.raises(UnknownName, match="has no columns"):
        list(read_notes(tmp_path, fields=Fields({"note_type": "x"})))


def test_hidden_files_and_folders_are_no_notes(tmp_path):
    for name in (".git/a.txt", "p1/._a.txt", "p1/.cache/b.txt", "p1/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("gout")
    notes, rejects = split(tmp_path)
    assert [note.note_id for note in notes] == ["p1/a.txt"] and rejects == []


def test_a_note_remembers_where_it_was_read(write):
    path = write("a.jsonl", "\n" + jsonl(ROW))
    (note,), _ = split(path)
    assert note.origin == (str(path), 2)
    assert note == Note(**ROW) and note.model_dump() == Note(**ROW).model_dump()
    assert Note(**ROW).origin == ("", None)


@pytest.mark.parametrize("time", ["2180-W19", "2180", "2180-05"])
def test_times_that_mean_more_than_a_day_are_refused(write, time):
    _, (reject,) = split(write("a.jsonl", jsonl({**ROW, "written_at": time})))
    assert "is not a date" in reject.reason


def test_a_pipe_is_read_like_a_file(tmp_path):
    """As of `drehr-rag index <(zcat notes.gz)`."""
    pipe = tmp_path / "pipe.jsonl"
    os.mkfifo(pipe)
    row = {"note_id": "n1", "patient_id": "p1", "text": "Chest pain."}
    filling = threading.Thread(target=pipe.write_text, args=(json.dumps(row) + "\n",))
    filling.start()
    notes = list(read_notes(pipe, format="jsonl"))
    filling.join()
    assert [note.note_id for note in notes] == ["n1"]
    with pytest.raises(NoteError, match="is a pipe, so its format cannot be told: name it"):
        list(read_notes(pipe))

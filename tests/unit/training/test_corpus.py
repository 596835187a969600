"""Notes to the paper's chunks; a split by hash; what is dropped is counted."""

import gzip
import json
from hashlib import sha256

import pytest

from drehr_rag.errors import BadArgument, NoteError, TrainingError
from drehr_rag.notes.readers import Fields
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.split import Split
from drehr_rag.types import Note

LONG = " ".join(f"word{i}" for i in range(205))


def write(file, *rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def row(note_id, text=LONG, **fields):
    return {"note_id": note_id, "patient_id": "p", "text": text, **fields}


def test_chunks_of_100_words_with_an_overlap_of_10(tmp_path):
    chunks = list(Corpus([write(tmp_path / "n.jsonl", row("a"), row("b", LONG + " end"))]))
    assert [chunk.chunk_id for chunk in chunks] == ["a_0", "a_1", "a_2", "b_0", "b_1", "b_2"]
    words = [chunk.text.split() for chunk in chunks[:3]]
    assert [len(some) for some in words] == [100, 100, 25]
    assert (words[1][0], words[1][-1], words[2][0]) == ("word90", "word189", "word180")


def test_both_cleanings(tmp_path):
    text = "[**2151**] BP ======= 120 >> 110 " + "ok " * 50
    file = write(tmp_path / "n.jsonl", row("a", text))
    [ours], [theirs] = Corpus([file]), Corpus([file], cleaning="cliniq")
    assert ours.text.startswith("BP 120 110 ok")
    assert theirs.text.startswith("BP ======= 120 >> 110 ok")


def test_what_is_dropped_is_counted_and_kept_aside(tmp_path):
    file = tmp_path / "n.jsonl"
    write(file, row("a"), row("b", "too short"), row("a"), row("c", "w " * 49), row("d", "w " * 50))
    with file.open("a") as lines:
        lines.write("{broken\n")
    corpus = Corpus([file], rejects=tmp_path / "rejects.jsonl")
    for _ in range(2):  # reading it again counts anew
        assert [chunk.chunk_id for chunk in corpus] == ["a_0", "a_1", "a_2", "d_0"]
        assert corpus.counts == {
            "notes": 6,
            "notes dropped: under 50 words": 2,
            "notes dropped: the same note_id as another note": 1,
            "notes dropped: cannot be read": 1,
            "chunks": 4,
        }
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines()]
    assert [(r["line"], r["reason"]) for r in rejects] == [
        (3, "the same note_id as another note"),
        (6, "broken JSON"),
    ]
    assert "word1" not in (tmp_path / "rejects.jsonl").read_text()


def test_only_notes_of_some_types(tmp_path):
    rows = [row("a", note_type="DS"), row("b", note_type="AD"), row("c"), row("d", note_type=" ds")]
    file = write(tmp_path / "n.jsonl", *rows)
    corpus = Corpus([file], note_types=["DS "])
    assert {chunk.note_id for chunk in corpus} == {"a", "d"}
    assert corpus.counts["notes dropped: of another type"] == 2
    assert corpus.settings["note_types"] == ["discharge summary"]
    assert {chunk.note_id for chunk in Corpus([file])} == {"a", "b", "c", "d"}
    mimic = tmp_path / "discharge.csv"
    mimic.write_text(
        "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
        f"a,1,2,DS,1,2180-01-01 00:00:00,,{LONG}\nb,1,2,AD,2,2180-01-01 00:00:00,,{LONG}\n"
    )
    for name in ("DS", "Discharge Summary"):
        assert {c.note_id for c in Corpus([mimic], format="mimic4", note_types=[name])} == {"a"}


def test_a_split_by_hash_is_that_of_the_data(tmp_path):
    rows = [row(f"n{i}", cluster=f"c{i // 2:04}") for i in range(60)]
    file = write(tmp_path / "n.jsonl", *rows)
    kept = {
        r["note_id"]
        for r in rows
        if int(sha256(r["cluster"].encode()).hexdigest(), 16) % 10 in (0, 1, 2, 3, 4, 5)
    }
    corpus = Corpus([file], keep=Split.parse("cluster:0-5/10"))
    assert {chunk.note_id for chunk in corpus} == kept
    assert corpus.counts["notes dropped: not in cluster:0,1,2,3,4,5/10"] == 60 - len(kept) > 0
    others = {chunk.note_id for chunk in Corpus([file], keep=Split.parse("cluster:6-9/10"))}
    assert others == {r["note_id"] for r in rows} - kept


def test_a_note_without_the_column_is_an_error(tmp_path):
    file = write(tmp_path / "n.jsonl", row("a", cluster="c1"), row("b"))
    with pytest.raises(TrainingError, match=r"note 'b' \(.*n\.jsonl:2\) has no 'cluster'"):
        list(Corpus([file], keep=Split.parse("cluster:0-9/10")))
    by_id = Split.parse("note_id:0-9/10")
    assert {chunk.note_id for chunk in Corpus([file], keep=by_id)} == {"a", "b"}


@pytest.mark.parametrize(
    "text", ["cluster", "cluster:1", "cluster:/10", ":1/10", "c:10/10", "c:3-1/10"]
)
def test_a_split_that_is_none(text):
    with pytest.raises(BadArgument, match="a split"):
        Split.parse(text)


def test_how_a_split_is_said():
    assert str(Split.parse(" patient_id:8,0-2/10 ")) == "patient_id:0,1,2,8/10"
    assert Split("year", (0,), 1).keeps(
        Note(note_id="n", patient_id="p", text="t", metadata={"year": 2003})
    )


def test_checksums_are_those_of_what_is_read(tmp_path):
    (tmp_path / "p1").mkdir()
    (tmp_path / "p1" / "a.txt").write_text(LONG)
    (tmp_path / "other").mkdir()
    same = write(tmp_path / "other" / "n.jsonl", row("b"))
    zipped = tmp_path / "n.jsonl"
    zipped.write_bytes(gzip.compress(same.read_bytes()))
    corpus = Corpus([tmp_path / "p1", zipped, same], format=None)
    before = corpus.checksums()
    assert list(before) == ["p1", "n.jsonl", "n.jsonl (2)"]
    assert before == corpus.checksums()
    (tmp_path / "p1" / "a.txt").write_text(LONG + " more")
    assert corpus.checksums()["p1"] != before["p1"]


def test_notes_that_are_not_there(tmp_path):
    with pytest.raises(TrainingError, match="no file or folder"):
        Corpus([tmp_path / "none.jsonl"])
    with pytest.raises(TrainingError, match="no notes are named"):
        Corpus([])
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 99)[:-9])
    with pytest.raises(NoteError, match="damaged"):
        list(Corpus([tmp_path / "bad.jsonl.gz"], format="jsonl"))


def test_columns_are_mapped(tmp_path):
    file = tmp_path / "n.csv"
    file.write_text(f"id,subject,body\n7,9,{LONG}\n")
    fields = Fields({"note_id": "id", "patient_id": "subject", "text": "body"}, metadata=("id",))
    chunk = next(iter(Corpus([file], fields=fields)))
    assert (chunk.chunk_id, chunk.patient_id, chunk.metadata) == ("7_0", "9", {"id": "7"})

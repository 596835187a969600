"""Held-out chunks are found under any cutting; idioms, templates and other notes are told apart."""

import asyncio
import gzip
import json
import pickle
import random
import re

import pytest

from drehr_rag.errors import BadArgument, NoteError, TrainingError, UnknownName
from drehr_rag.notes.chunkers.words import WordChunker
from drehr_rag.training.examples import Example
from drehr_rag.training.leakage import Guard, HeldOut, HeldOutIds, NearTexts, held_out_texts
from drehr_rag.training.leakage.guarded import Guarded, GuardedAsync
from drehr_rag.training.leakage.shingles import LONGEST, shingles, windows, words_of
from drehr_rag.training.outcomes import Outcome
from drehr_rag.types import Chunk, Note

RANDOM = random.Random(7)
VOCABULARY = [f"word{i}" for i in range(4000)]


def text(words):
    return " ".join(RANDOM.choice(VOCABULARY) for _ in range(words))


def held(note, words, number=0):
    return HeldOut(f"{note}_{number}", note, words, "devset:here")


NOTE = text(400).split()


@pytest.fixture(scope="module")
def near():
    """A note in chunks of 100 words with an overlap of 10, and two hundred others."""
    chunks = [held("n1", " ".join(NOTE[i * 90 : i * 90 + 100]), i) for i in range(4)]
    return NearTexts(chunks + [held(f"o{i}", text(100)) for i in range(200)])


@pytest.mark.parametrize("start", range(0, 271, 15))
def test_a_chunk_of_a_held_out_note_is_found_wherever_it_was_cut(near, start):
    cut = " ".join(NOTE[start : start + 100])
    found = near.find(cut)
    assert found.held_out.startswith("n1_")
    assert not found.template
    # what is reported is what both really share
    own = set(shingles(words_of(cut)).tolist())
    number = int(found.held_out[3:])
    other = set(shingles(NOTE[number * 90 : number * 90 + 100]).tolist())
    assert found.overlap == len(own & other) / min(len(own), len(other)) >= 0.45


def test_case_punctuation_and_a_new_date_do_not_hide_it(near):
    words = [w.upper() for w in NOTE[:100]]
    words[20] = "2004-03-02"
    assert near.find(", ".join(words)).held_out == "n1_0"


@pytest.mark.parametrize("cleaning", ["dr_ehr", "cliniq"])
@pytest.mark.parametrize("mark", ["[**2151-7-16**]", "[**Known\nlastname 11**]", "___", "_____"])
def test_marks_of_de_identification_do_not_hide_it(cleaning, mark):
    words = text(300).split()
    raw = " ".join(f"{mark} {word}" if i % 4 == 0 else word for i, word in enumerate(words))
    near = NearTexts([HeldOut("n1", "n1", raw)])
    [chunks] = WordChunker(cleaning=cleaning).split([Note(note_id="x", patient_id="x", text=raw)])
    assert all(near.find(chunk.text) for chunk in chunks if len(words_of(chunk.text)) > 40)
    assert words_of(raw) == words
    assert words_of("a [stray bracket " + "word " * 50 + "] end")[:3] == ["a", "stray", "bracket"]


def test_other_notes_and_a_shared_sentence_are_not_leaks(near):
    assert near.find(text(100)) is None
    assert near.find(" ".join([*text(60).split(), *NOTE[:30]])) is None
    assert near.find("") is None


def test_a_sentence_of_eleven_words_is_an_idiom_and_one_of_twelve_is_not(near):
    assert near.find(" ".join(NOTE[:11])) is None
    assert near.find(" ".join(NOTE[:12])).overlap == 1


def test_the_least_that_counts_is_found_in_a_whole_chunk():
    short = [text(12) for _ in range(1500)]
    near = NearTexts(held(f"s{i}", words) for i, words in enumerate(short))
    found = [near.find(f"{text(44)} {words} {text(44)}") for words in short]
    assert [one and one.held_out for one in found] == [f"s{i}_0" for i in range(len(short))]


def test_equal_short_texts_are_leaks():
    near = NearTexts([held("a", "Pyrexia and rash.")])
    assert near.find("pyrexia, and RASH").overlap == 1
    assert near.find("pyrexia and rash at night") is None


def test_a_held_out_note_need_not_be_cut():
    near = NearTexts([HeldOut("n1", "n1", " ".join(NOTE))])
    assert all(near.find(" ".join(NOTE[i : i + 100])) for i in range(0, 301, 7))
    assert near.find(" ".join([*text(300).split(), *NOTE[100:250]])).held_out == "n1"


def test_a_benchmark_that_is_cut_into_sections_of_a_few_words():
    parts = [held("n1", " ".join(NOTE[i : i + 9]), i) for i in range(0, 180, 9)]
    near = NearTexts(parts)
    assert all(near.find(" ".join(NOTE[i : i + 100])) for i in range(0, 81, 8))
    assert near.find(text(100)) is None


def test_windows_reach_the_end():
    for count in (1, LONGEST, LONGEST + 1, 333, 1000):
        parts = list(windows(VOCABULARY[:count]))
        assert {word for part in parts for word in part} == set(VOCABULARY[:count])
        assert all(len(part) <= LONGEST for part in parts)


TEMPLATE = text(40)


@pytest.fixture(scope="module")
def templated():
    """Three held-out notes with one template, one with a sentence of its own."""
    notes = [held(f"t{i}", f"{TEMPLATE} {text(15)}") for i in range(3)]
    return NearTexts([*notes, held("own", f"{text(20)} {' '.join(NOTE[:40])}")])


def test_templates_are_told_from_copies(templated):
    assert templated.find(f"{text(20)} {TEMPLATE}").template
    assert not templated.find(" ".join(NOTE[:40])).template


def test_templates_can_be_kept(templated):
    shared = f"{text(20)} {TEMPLATE}"
    assert Guard(texts=templated).check("x_0", shared).kind == "template"
    assert Guard(texts=templated, templates=False).check("x_0", shared) is None
    assert Guard(texts=templated, templates=False).check("x_0", " ".join(NOTE[:40])).kind == "copy"


def test_the_threshold_is_an_option():
    chunk = NearTexts([held("n1", " ".join(NOTE[:100]))], threshold=0.2)
    shared = " ".join([*NOTE[70:100], *text(70).split()])
    assert 0.2 < chunk.find(shared).overlap < 0.4
    for wrong in (0, 1.1, -1):
        with pytest.raises(BadArgument, match="threshold"):
            NearTexts([held("n1", "a b")], threshold=wrong)


def test_a_guard_of_nothing_is_refused():
    with pytest.raises(BadArgument, match="held-out ids or texts"):
        Guard()
    with pytest.raises(TrainingError, match="no text is held out"):
        NearTexts([])


# -- ids -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", ["n1\nn2_3\n\n", '["n1", "n2_3"]', "\ufeffn1\r\nn2_3"])
@pytest.mark.parametrize("name", ["ids.txt", "ids.txt.gz"])
def test_ids_of_notes_and_of_chunks(tmp_path, content, name):
    file = tmp_path / name
    raw = content.encode()
    file.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    ids = HeldOutIds.read(file)
    found = {idx: ids.match(idx) for idx in ("n1_0", "n1_17", "n2_3", "n2_4", "n1", "n", "_1")}
    assert found == {
        **dict.fromkeys(("n1_0", "n1_17", "n1"), "n1"),
        "n2_3": "n2_3",
        **dict.fromkeys(("n2_4", "n", "_1")),
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        ("\n \n", "names no held-out id"),
        ("[]", "names no held-out id"),
        ('["a"', "JSON list and is none"),
        ('[{"id": 1}]', "what is no id"),
        (b"\xff\xfe1\x00", "is not UTF-8"),
    ],
)
def test_a_file_of_ids_that_would_hold_nothing_out_is_an_error(tmp_path, content, said):
    file = tmp_path / "ids.txt"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(TrainingError, match=said):
        HeldOutIds.read(file)


def test_ids_of_another_space_are_seen_in_the_report():
    guard = Guard(ids=HeldOutIds(frozenset({"100001", "100002", "n2"})))
    report = guard.report([("n1_0", "gout"), ("n2_0", "gout"), ("n2_1", "gout")])
    assert (report.checked, report.counts, report.ids, report.ids_met) == (3, {"id": 2}, 3, 1)
    assert [(leak.idx, leak.held_out) for leak in report.leaks] == [("n2_0", "n2"), ("n2_1", "n2")]


# -- sources ---------------------------------------------------------------------------------------


def test_a_benchmark_of_the_package():
    texts = list(held_out_texts("ward"))
    assert len({one.note_id for one in texts}) > 50
    assert NearTexts(texts).find(texts[5].text).held_out == texts[5].key


def test_notes_of_a_file_and_only_some_of_them(tmp_path):
    notes = [{"note_id": f"n{i}", "patient_id": "p", "text": f"gout {i}"} for i in range(4)]
    file, only = tmp_path / "notes.jsonl", tmp_path / "only.txt"
    file.write_text("\n".join(map(json.dumps, notes)))
    only.write_text("n1\nn3\n")
    assert [one.key for one in held_out_texts(f"notes:{file}")] == ["n0", "n1", "n2", "n3"]
    assert [one.key for one in held_out_texts(f"notes:{file}?only={only}")] == ["n1", "n3"]
    only.write_text("m1\n")
    with pytest.raises(TrainingError, match="names 1 notes, and none is there"):
        list(held_out_texts(f"notes:{file}?only={only}"))


def test_a_held_out_note_that_cannot_be_read_is_an_error_without_its_text(tmp_path):
    file = tmp_path / "notes.jsonl"
    file.write_text('{"note_id": "n1", "patient_id": "p", "text": "secret')
    with pytest.raises(TrainingError, match=re.escape("notes.jsonl:1: broken JSON")) as error:
        list(held_out_texts(f"notes:{file}"))
    assert "secret" not in str(error.value)


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(UnknownName, match="no benchmark is called 'wards'"):
        list(held_out_texts("wards"))
    with pytest.raises(NoteError, match="no file"):
        list(held_out_texts(f"notes:{tmp_path / 'none'}"))


# -- the trainer -----------------------------------------------------------------------------------


def test_the_trainer_refuses_and_may_be_told_to_go_on(near):
    rows = [("a_0", " ".join(NOTE[40:140])), ("b_0", text(100))]
    examples = [Example(idx=idx, text=words, entities=("gout",)) for idx, words in rows]
    guard = Guard(texts=near)
    with pytest.raises(
        TrainingError, match=r"1 of 2 examples .*a_0 \(n1_0\).*--allow-leakage"
    ) as e:
        guard.refuse(examples)
    assert NOTE[45] not in str(e.value)
    assert guard.refuse(examples, allow=True).counts == {"copy": 1}
    assert guard.refuse(examples[1:]).leaks == ()
    assert guard.settings()["texts"] == {"devset:here": 204}


def test_the_same_whenever_it_is_asked(near):
    again = NearTexts([held("n1", " ".join(NOTE[i * 90 : i * 90 + 100]), i) for i in range(4)])
    chunks = [" ".join(NOTE[i : i + 100]) for i in range(0, 300, 20)]
    assert [near.find(c) for c in chunks] == [again.find(c) for c in chunks]


# -- builds ----------------------------------------------------------------------------------------


def work(chunk):
    example = Example(idx=chunk.chunk_id, text=chunk.text, entities=("gout",))
    return Outcome(example, {"entities": 1})


async def awaited(chunk):
    return work(chunk)


@pytest.mark.parametrize("how", [Guarded, GuardedAsync])
def test_a_guard_before_any_work(how, near):
    def done(guarded, words):
        found = guarded(Chunk("x_0", "x", None, 0, 1, words, words))
        return asyncio.run(found) if how is GuardedAsync else found

    inner = awaited if how is GuardedAsync else work
    copy, guard = " ".join(NOTE[:100]), Guard(texts=near)
    left_out = done(how(inner, guard), copy)
    assert (left_out.example, left_out.failures) == (None, ("held out (copy)",))
    assert left_out.counts == {"held out: copy": 1}
    used = done(how(inner, guard, allow=True), copy)
    assert used.counts == {"entities": 1, "held out, used all the same: copy": 1}
    assert used.example.idx == "x_0"
    for none in (done(how(inner, guard), text(100)), done(how(inner), copy)):
        assert (none.counts, none.failures) == ({"entities": 1}, ())


def test_a_guarded_work_can_be_sent_to_other_processes(near):
    sent = pickle.loads(pickle.dumps(Guarded(work, Guard(texts=near))))
    copy = " ".join(NOTE[50:150])
    assert sent(Chunk("x_0", "x", None, 0, 1, copy, copy)).counts == {"held out: copy": 1}

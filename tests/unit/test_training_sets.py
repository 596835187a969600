"""The sets that select and report a trained model: their rules by hand, their bytes as frozen."""

import gzip
import json
from collections import Counter

import pytest

from benchmarks.training_sets import __main__ as command
from benchmarks.training_sets.checksums import FROZEN, differences, write_checksums
from benchmarks.training_sets.concepts import Concept, joined
from benchmarks.training_sets.denial import denied
from benchmarks.training_sets.files import read_records, read_set, write_set
from benchmarks.training_sets.mtsamples import digit
from benchmarks.training_sets.ncbi import judged_abstracts, linked_concepts, ncbi, written_name
from benchmarks.training_sets.overlap import shared_reports
from benchmarks.training_sets.retrieval_set import RetrievalSet, restrict
from benchmarks.training_sets.silver_notes import find_names, judged_notes
from benchmarks.training_sets.vaers import draw_reports, usable_terms, vaers_match
from benchmarks.training_sets.words import chunk_spans, fold, natural, spaced


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Diarrhoea", "diarrhea"),
        ("headaches", "headache"),
        ("haemorrhage", "HEMORRHAGE"),
        ("oedema", "edema"),
        ("dyspnoea", "dyspnea"),
        ("tumours", "tumor"),
        ("ischaemia", "ischemia"),
        ("coeliac", "celiac"),
        ("hospitalisation", "hospitalization"),
    ],
)
def test_spellings_are_one_word(one, other):
    assert fold(one) == fold(other)


@pytest.mark.parametrize("word", ["diagnosis", "abscess", "gas", "virus"])
def test_an_s_that_is_no_plural_stays(word):
    assert fold(word) == word


def test_names_stand_as_whole_words():
    assert spaced("rash") in spaced("A rash; then hives.")
    assert spaced("rash") not in spaced("The car crashed, a rasher")
    assert spaced("lung disease") in spaced("Lung-diseases")
    assert spaced("Grippe/flu") == " grippe flu "


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("Leukemia, Myeloid, Acute", "acute myeloid leukemia"),
        ("Metabolism, Inborn Errors", "inborn errors of metabolism"),
        ("Gout", "gout"),
        ("46, XX Disorders of Sex Development", "46, xx disorders of sex development"),
    ],
)
def test_headings_in_natural_order(heading, name):
    assert natural(heading) == name


@pytest.mark.parametrize(
    ("count", "chunks"),
    [
        (0, []),
        (5, [(0, 5)]),
        (100, [(0, 100)]),
        (101, [(0, 100), (90, 101)]),
        (190, [(0, 100), (90, 190)]),
        (191, [(0, 100), (90, 190), (180, 191)]),
    ],
)
def test_chunks_overlap_by_ten_words_and_none_is_the_overlap_only(count, chunks):
    words = [f"w{number}" for number in range(count)]
    text = "  \n".join(words)
    cut = [text[start:end].split() for start, end in chunk_spans(text)]
    assert cut == [words[first:last] for first, last in chunks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No FEVER", True),
        ("She denies any FEVER", True),
        ("No one two three four FEVER", True),
        ("No one two three four five FEVER", False),
        ("Negative for chills, night sweats, chest pain, cough or FEVER", True),
        ("No fever but FEVER", False),
        ("No rash. FEVER since May", False),
        ("No rash\nFEVER", False),
        ("Nothing like FEVER", False),
        ("Including but not limited to FEVER", False),
        ("Does not have FEVER", True),
        ("", False),
    ],
)
def test_what_is_denied(text, expected):
    assert denied(text, text.find("FEVER")) is expected


TEN = "a b c d e f g h i j"  # six 5-grams


@pytest.mark.parametrize(
    ("training", "found"),
    [
        ("x A, B. c d e f g y", {"long"}),  # 3 of 6
        ("a b c d e f y", set()),  # 2 of 6
        ("b c d e f z c d e f g", set()),  # 2 different ones, on two sides
        ("Sore arm!", {"short", "same"}),
        ("sore arm today", set()),
    ],
)
def test_which_reports_share_text(training, found):
    corpus = {"long": TEN, "short": "sore arm", "same": "Sore arm.", "other": "sore leg"}
    assert shared_reports(corpus, [training]) == found


def test_halves_in_two_texts_are_not_shared():
    assert shared_reports({"r": TEN}, ["a b c d e f", "e f g h i j"]) == set()
    assert shared_reports({"r": TEN}, ["a b c d e f g"]) == {"r"}


def small():
    return RetrievalSet(
        {"n1_0": "fever  “°C”", "n1_1": "gout", "n2_0": "fever, no gout\u2028"},
        [
            {"_id": "q1", "text": "fever", "type": "disease", "ids": ["D1"]},
            {"_id": "q2", "text": "gout", "type": "disease", "ids": []},
        ],
        {("q2", "n1_1"): "string", ("q1", "n2_0"): "string", ("q1", "n1_0"): "synonym"},
        {("q2", "n2_0")},
    )


@pytest.mark.parametrize(
    ("least", "queries", "negated"), [(1, ["q1", "q2"], {("q2", "n2_0")}), (2, ["q1"], set())]
)
def test_a_part_keeps_queries_with_enough_chunks(least, queries, negated):
    part = restrict(small(), lambda _: True, least=least)
    assert [query["_id"] for query in part.queries] == queries
    assert {query for query, _ in part.qrels} == set(queries)
    assert part.negated == negated
    assert part.facts == {
        "chunks_left_out": 0,
        "least_relevant": least,
        "queries_left_out": 2 - len(queries),
    }


def test_a_part_keeps_nothing_of_other_chunks():
    part = restrict(small(), lambda name: name.startswith("n2"), least=1)
    assert list(part.corpus) == ["n2_0"]
    assert part.qrels == {("q1", "n2_0"): "string"}
    assert part.negated == set()
    assert part.facts["chunks_left_out"] == 2


def test_written_and_read_again_with_equal_bytes(tmp_path):
    stats = write_set(tmp_path / "one", small())
    again = read_set(tmp_path / "one")
    assert again == small()
    assert list(again.qrels) == [("q1", "n1_0"), ("q1", "n2_0"), ("q2", "n1_1")]
    assert stats == json.loads((tmp_path / "one" / "stats.json").read_text())
    assert (stats["notes"], stats["negated_only"]) == (2, 1)
    write_set(tmp_path / "two", again)
    files = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}
    assert len(files) == 5


def test_reports_are_drawn_among_different_ones():
    texts = {"1": "x " * 12, "2": "X " * 12, "3": "x " * 11, "4": "x " * 401, "5": "y " * 400}
    assert set(draw_reports(texts, 2, seed=0)) == {"1", "5"}


def test_terms_that_make_a_query():
    terms = {str(number): {"Many"} for number in range(100)}
    for number in range(3):
        terms[str(number)] |= {"Rash", "Lab Test abnormal"}
    for number in range(7):
        terms[str(number)] |= {"Pyrexia"}  # 7 %
    for number in range(6):
        terms[str(number)] |= {"Chills"}
    terms["1"] |= {"Gout"}
    terms["2"] |= {"Gout"}
    assert list(usable_terms(terms)) == ["Chills", "Rash"]


@pytest.mark.parametrize(
    ("report", "match"),
    [("high fever, pyrexia", "string"), ("high fever", "synonym"), ("very hot", "implication")],
)
def test_how_a_coded_term_shows(report, match):
    assert vaers_match(spaced("Pyrexia"), {" pyrexia ": {" fever "}}, spaced(report)) == match


def test_composite_ids():
    assert linked_concepts("D001|MESH:D002") == ["D001", "D002"]
    assert linked_concepts("OMIM:1 + D003") == ["OMIM:1", "D003"]


def test_a_concept_without_heading_is_called_as_most_write_it():
    assert written_name(Counter({"AT": 9, "Ataxia": 2, "ataxia t.": 2})) == "ataxia t."
    assert written_name(Counter({"AT": 1})) == "at"


def test_concepts_with_one_title_are_one_query():
    corpus = {"a_0": "Gouts run in families", "b_0": "podagra", "c_0": "disease"}
    places = {"D2": {"a_0"}, "OMIM:1": {"b_0"}, "D9": {"c_0"}, "D8": set()}
    titles = {"D2": "gout", "OMIM:1": "gout", "D9": "disease", "D8": "nowhere"}
    made = judged_abstracts(corpus, places, titles)
    assert [(query["_id"], query["ids"]) for query in made.queries] == [
        ("MESH:D2", ["MESH:D2", "OMIM:1"])
    ]
    assert made.qrels == {("MESH:D2", "a_0"): "string", ("MESH:D2", "b_0"): "synonym"}


def paper(number, title, *mentions):
    rows = [f"{number}\t{start}\t{end}\tx\tDisease\t{ids}" for start, end, ids in mentions]
    return "\n".join([f"{number}|t|{title}", f"{number}|a|End.", *rows, "", ""])


def ncbi_folder(data, **parts):
    folder = data / "linking" / "ncbi_disease"
    for place in (folder, data / "kg"):
        place.mkdir(parents=True)
    for part, text in parts.items():
        (folder / f"NCBI{part}set_corpus.txt.gz").write_bytes(gzip.compress(text.encode()))
    terms = "mesh_id\tmesh_name\nD1\tPalsy, Rare\n"
    (data / "kg" / "mesh_2015_terms.tsv.gz").write_bytes(gzip.compress(terms.encode()))


def test_a_mention_across_the_border_of_a_chunk_is_in_the_one_that_has_it_whole(tmp_path):
    words = [f"w{number}" for number in range(120)]
    words[98:101] = ["big", "bad", "palsy"]
    title = " ".join(words)
    start = title.index("big")
    mention = (start, start + len("big bad palsy"), "MESH:D1|OMIM:7")
    ncbi_folder(
        tmp_path,
        train=paper(1, title, mention),
        develop=paper(1, title, mention),
        test=paper(2, title, mention),
    )
    made = ncbi(tmp_path)
    assert list(made.corpus) == ["ncbi-2_0", "ncbi-2_1"]
    assert made.corpus["ncbi-2_1"].endswith("w119 End.")
    assert [query["text"] for query in made.queries] == ["big bad palsy", "rare palsy"]
    assert made.qrels == {("OMIM:7", "ncbi-2_1"): "string", ("MESH:D1", "ncbi-2_1"): "synonym"}


def test_rows_of_one_label_are_one_concept():
    found = joined(
        [
            ("D:1", "Headaches", ["Cephalalgia"], ["Pain"]),
            ("H:1", "headache", ["Head pain"], []),
        ]
    )
    names = {" cephalalgia ", " head pain "}
    assert found == {" headache ": Concept("headaches", ["D:1", "H:1"], names)}


CONCEPTS = {
    " arthritis ": Concept("arthritis", ["A"], {" joint inflammation "}, {" gout ", " unknown "}),
    " gout ": Concept("gout", ["G"], {" podagra "}),
}


def test_the_better_match_stays():
    notes = {
        "n1": "Gout, joint inflammation, arthritis.",
        "n2": "Joint inflammation: gout.",
        "n3": "Gout. Joint inflammations elsewhere. Unknown.",
        "n4": "Podagra.",
        "n5": "Denies gout.",
    }
    made = judged_notes(notes, CONCEPTS)
    assert [query["_id"] for query in made.queries] == ["A", "G"]
    assert {chunk: match for (query, chunk), match in made.qrels.items() if query == "A"} == {
        "n1_0": "string",
        "n2_0": "synonym",
        "n3_0": "synonym",
    }
    assert made.qrels["G", "n4_0"] == "synonym"
    assert made.negated == {("A", "n5_0"), ("G", "n5_0")}


def test_a_kind_is_a_hyponym_and_makes_no_query():
    notes = {f"n{number}": "Arthritis." for number in range(3)} | {
        "g": "Gout.",
        "h": "Gout. No gout",
    }
    made = judged_notes(notes, CONCEPTS)
    assert [query["_id"] for query in made.queries] == ["A"]
    assert made.qrels["A", "g_0"] == made.qrels["A", "h_0"] == "hyponym"
    assert made.negated == set()
    assert judged_notes({"g": "Gout."}, CONCEPTS).queries == []


def test_names_within_names_are_found():
    names = {" heart failure ", " failure ", " congestive heart failure "}
    text = "Congestive heart\nfailures"
    found = [text[start:end] for _, start, end in find_names(text, names)]
    assert found == ["Congestive heart\nfailures", "heart\nfailures", "failures"]


def test_other_files_are_named(tmp_path):
    write_set(tmp_path / "one", small())
    made = write_checksums(tmp_path, ["one"])
    frozen = tmp_path / "frozen.txt"
    frozen.write_text(made.read_text())
    assert differences(made, frozen) == []
    write_set(tmp_path / "one", restrict(small(), lambda _: True, least=2))
    changed = differences(write_checksums(tmp_path, ["one"]), frozen)
    assert changed == [f"one/{name}" for name in ("qrels.tsv.gz", "queries.jsonl.gz", "stats.json")]
    (tmp_path / "one" / "left.txt").write_text("over")
    assert "one/left.txt" in differences(write_checksums(tmp_path, ["one"]), frozen)


def test_the_command_fails_on_other_data(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "all_sets", lambda data: [("ncbi", small())])
    with pytest.raises(SystemExit, match=r"files are not those of checksums\.txt: .*ncbi/corpus"):
        command.main([str(tmp_path), "--data", str(tmp_path)])
    assert (tmp_path / "ncbi" / "stats.json").exists()


def test_the_command_names_what_is_missing(tmp_path):
    with pytest.raises(SystemExit, match=r"there is no .*2003VAERSData\.zip: .*--data"):
        command.main([str(tmp_path / "out"), "--data", str(tmp_path)])


@pytest.mark.slow
def test_the_sets_are_the_frozen_ones(tmp_path, shared_data):
    command.main([str(tmp_path), "--data", str(shared_data)])
    assert (tmp_path / "checksums.txt").read_text() == FROZEN.read_text()
    rows = read_records(shared_data / "notes" / "mtsamples_shared.jsonl.gz")
    clusters = {row["note_id"]: row["cluster"] for row in rows}
    select, report = (
        {clusters[name.rpartition("_")[0]] for name in read_set(tmp_path / folder).corpus}
        for folder in ("mtsamples_select", "mtsamples_report")
    )
    assert select and report and not select & report
    assert {digit(cluster) for cluster in select | report} == {6, 7, 8, 9}

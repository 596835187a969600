"""Stage 1's records, by hand from PAPER.md; every step on and off; odd graphs."""

import gzip
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chat_server import chat_server
from unit.training.stage1_graphs import HEART, make_graph

from drehr_rag.errors import BadArgument, GeneratorError, TrainingError
from drehr_rag.kg import Matcher, Record
from drehr_rag.kg.abbreviations import Abbreviations
from drehr_rag.training.chat import Chat
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.stage1.abbreviating import Abbreviating
from drehr_rag.training.stage1.breadth import Breadth
from drehr_rag.training.stage1.build import build_stage1
from drehr_rag.training.stage1.leave_out import LeaveOut
from drehr_rag.training.stage1.mentions import Dropped, Mentions
from drehr_rag.training.stage1.ratios import Ratios, concepts_and_terms

TEXT = "Heart attack in May. Now AF (atrial fibrillation); no rash. AF is rate controlled."
NOTHING = Ratios(0, 0, 0, 0, 0)


@pytest.fixture
def graph(tmp_path, monkeypatch):
    return make_graph(tmp_path / "kg", monkeypatch)


def corpus(folder, *texts, **options):
    file = folder / "notes.jsonl"
    rows = [{"note_id": f"n{i}", "patient_id": "p", "text": text} for i, text in enumerate(texts)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Corpus([file], shortest=0, **options)


def built(folder, graph, *texts, **options):
    """The examples' rows, and the manifest."""
    options = {"leave_out": LeaveOut(), **options}
    output = folder / f"out{len(list(folder.iterdir()))}.jsonl"
    manifest = build_stage1(corpus(folder, *texts), graph, output, **options)
    return [json.loads(line) for line in output.read_text().splitlines()], manifest


def test_the_record_by_hand(tmp_path, graph):
    [record], manifest = built(tmp_path, graph, TEXT)
    assert record == {
        "idx": "n0_0",
        "text": TEXT,
        "entities": [
            "heart attack",
            "atrial fibrillation",
            "rash",
            "Myocardial infarction",
            "coronary thrombosis",
            "Heart disease",
            "cardiac disease",
            "chest pain",
            "thoracic pain",
        ],
        "concepts": ["D:1", "D:3", "S:2", "D:1", "D:1", "D:2", "D:2", "S:1", "S:1"],
    }
    assert manifest["counts"] == {
        "abbreviations kept": 1,
        "entities": 9,
        "hypernyms": 2,
        "mentions": 3,
        "related": 2,
        "synonyms": 2,
    }


@pytest.mark.parametrize(
    ("options", "entities"),
    [
        ({"ratios": NOTHING}, ["heart attack", "atrial fibrillation", "rash"]),
        (
            {"ratios": Ratios(1, 0, 0, 0, 0)},
            ["heart attack", "atrial fibrillation", "rash", "Myocardial infarction"],
        ),
        (
            {"ratios": Ratios(0, 2, 1, 0, 0)},
            ["heart attack", "atrial fibrillation", "rash", "Heart disease"],
        ),
        (
            {"ratios": Ratios(0, 0, 0, 2, 1), "leave_out": LeaveOut.of([("relation", "excludes")])},
            ["heart attack", "atrial fibrillation", "rash", "chest pain"],
        ),
        ({"ratios": NOTHING, "terms": False}, ["atrial fibrillation"]),
        ({"ratios": NOTHING, "denied": "drop"}, ["heart attack", "atrial fibrillation"]),
        (
            {"ratios": NOTHING, "leave_out": LeaveOut.of([("source", "S"), ("concept", "D:3")])},
            ["heart attack"],
        ),
    ],
)
def test_each_step_can_be_switched_off(tmp_path, graph, options, entities):
    [record], _ = built(tmp_path, graph, TEXT, **options)
    assert record["entities"] == entities


def test_broader_concepts_further_up(tmp_path, graph):
    far = Ratios(0, 9, 1, 0, 0)
    [record], manifest = built(tmp_path, graph, TEXT, ratios=far, hypernym_depth=2)
    assert record["entities"][3:] == ["Heart disease", "disease"]
    assert manifest["settings"]["hypernym_depth"] == 2
    with pytest.raises(BadArgument, match="hypernym depth"):
        built(tmp_path, graph, TEXT, hypernym_depth=0)


def test_without_abbreviations_only_terms_count(tmp_path, graph):
    text = "AF since May, after a heart attack (HA); atrial fibrillation."
    records, manifest = built(tmp_path, graph, text, ratios=NOTHING, own_definitions=False)
    assert records[0]["entities"] == ["heart attack", "atrial fibrillation"]
    assert "abbreviations kept" not in manifest["counts"]


def test_what_is_only_denied_becomes_a_hard_negative(tmp_path, graph):
    text = "No rash, denies thoracic pain. Heart attack, rash? No cardiac disease, time."
    [record], manifest = built(tmp_path, graph, text, denied="negatives", ratios=NOTHING)
    assert record["entities"] == ["heart attack", "rash"]
    assert record["negatives"] == ["cardiac disease", "thoracic pain", "time"]
    assert manifest["counts"]["mentions denied"] == 4
    [record], _ = built(tmp_path, graph, text, denied="negatives")
    assert "cardiac disease" in record["entities"]  # a heart attack is one, whatever is denied
    assert record["negatives"] == ["time"]
    with pytest.raises(BadArgument, match="denied entities are one of keep"):
        built(tmp_path, graph, text, denied="perhaps")


def test_an_inventory_is_read_and_refusals_are_counted(tmp_path, graph):
    inventory = tmp_path / "counted.tsv"
    inventory.write_text("ha\theart attack\t0.9\nbp\tblood pressure\t1\ncp\tchest pain\t0.5\n")
    other = tmp_path / "other" / inventory.name
    other.parent.mkdir()
    other.write_text("ha\thepatitis a\t0.9\n")
    [record], manifest = built(
        tmp_path, graph, "HA, BP high, CP.", inventories=[inventory, other], ratios=NOTHING
    )
    assert record["entities"] == ["heart attack"]
    assert manifest["counts"] == {
        "abbreviations kept": 1,
        "abbreviations refused: the full name is no term of the graph": 1,
        "entities": 1,
    }
    lists = ("abbreviations counted.tsv", "abbreviations counted.tsv (2)")
    assert manifest["sources"].keys() == {"notes.jsonl", "graph", *lists}
    assert len({manifest["sources"][name] for name in lists}) == 2
    assert manifest["licences"] == {tmp_path.name: "CC0"}


def test_notes_that_are_called_like_the_graph(tmp_path, graph):
    corpus(tmp_path, TEXT)
    (tmp_path / "notes.jsonl").rename(tmp_path / "graph")
    notes = Corpus([tmp_path / "graph"], format="jsonl", shortest=0)
    manifest = build_stage1(notes, graph, tmp_path / "out.jsonl")
    assert manifest["sources"].keys() == {"graph", "graph (2)"}
    assert manifest["sources"]["graph (2)"] == notes.checksums()["graph"]


def test_what_is_added_is_by_chance_and_the_same_for_a_seed(tmp_path, monkeypatch):
    names = tuple(f"name {i}" for i in range(30))
    graph = make_graph(tmp_path / "many", monkeypatch, Record("A:1", names, preferred="first name"))
    text = "name 7 and no more"
    runs = [
        built(tmp_path, graph, text, text, seed=seed, ratios=Ratios(synonyms=3))[0]
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1] != runs[2]
    one, two = runs[0]
    assert one["entities"][:2] == two["entities"][:2] == ["name 7", "first name"]
    assert one["entities"] != two["entities"]
    assert all(len(record["entities"]) == len(set(record["entities"])) == 4 for record in runs[0])


def test_rings_long_terms_one_letter_and_no_names(tmp_path, monkeypatch):
    graph = make_graph(
        tmp_path / "odd",
        monkeypatch,
        Record("A:1", ("croup",), parents=("A:2", "A:1", "A:3")),
        Record("A:2", ("larynx disease",), parents=("A:1",)),
        Record("A:3", ()),  # a step of the hierarchy without a name
        Record("A:4", ("k", "x" * 10_000, "long " * 199 + "end"), preferred="potassium"),
    )
    text = "croup, k, " + "x" * 10_000 + " potassium"
    [record], _ = built(tmp_path, graph, text, leave_out=LeaveOut.of([("branch", "A:9")]))
    assert record["entities"] == ["croup", "potassium", "larynx disease"]
    assert record["concepts"] == ["A:1", "A:4", "A:2"]


def test_a_ring_that_is_left_out_ends(tmp_path, monkeypatch):
    ring = [
        Record("A:1", ("croup",), parents=("A:2",)),
        Record("A:2", ("cough",), parents=("A:1", "B:1")),
        Record("B:1", ("thing",)),
    ]
    graph = make_graph(tmp_path / "ring", monkeypatch, *ring)
    left_out = LeaveOut.of([("branch", "B:1"), ("keep", "A:2")]).within(graph)
    assert [left_out.drops(one, graph) for one in ("A:1", "A:2", "B:1")] == [True, False, True]


def test_no_concept_that_is_too_broad_is_added(tmp_path, monkeypatch):
    kinds = [Record(f"K:{i}", (f"kind {i}",), parents=("B:1",)) for i in range(5)]
    graph = make_graph(tmp_path / "b", monkeypatch, Record("B:1", ("broad thing",)), *kinds)
    assert [Breadth(graph, most).too_broad("B:1") for most in (0, 4, 5)] == [False, True, False]
    assert built(tmp_path, graph, "kind 1", broadest=4)[0][0]["entities"] == ["kind 1"]
    assert built(tmp_path, graph, "kind 1", broadest=5)[0][0]["entities"] == [
        "kind 1",
        "broad thing",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ALL was found", True),
        ("all was found", False),
        ("ALL SYSTEMS REVIEWED", False),
        ("HX OF ALL, CHF", True),
    ],
)
def test_an_acronym_counts_in_capitals_alone(graph, text, found):
    mentions = Mentions(graph, Matcher.of(graph), LeaveOut())
    [match] = [m for m in mentions.find(text) if "ALL" in text[m.start : m.start + 3].upper()]
    assert isinstance(match, Dropped) is not found


def test_no_repr_holds_what_a_note_says(graph):
    found = Mentions(graph, Matcher.of(graph), LeaveOut())
    known = Abbreviating(found, Abbreviations([], least=0.8)).of(TEXT)
    assert known.mentions
    shown = f"{known!r} {known.mentions!r} {list(found.find(TEXT))!r}"
    assert not any(word in shown for word in ("attack", "fibrillation", "rash"))


def test_a_file_says_what_is_left_out(tmp_path, graph):
    file = tmp_path / "more.txt"
    file.write_text("# a comment\nRash\nterm Time  # said so\nsource S\nbranch D:2\n\n")
    left_out = LeaveOut.read(file, default=False)
    assert left_out == LeaveOut(
        sources=frozenset({"S"}), branches=frozenset({"D:2"}), terms=frozenset({"rash", "time"})
    )
    records, manifest = built(tmp_path, graph, TEXT, "the time", leave_out=left_out)
    assert records == []
    assert manifest["counts"]["chunks without entities"] == 2
    assert len(LeaveOut.read(file).branches) > len(left_out.branches)
    assert LeaveOut.read(file).checksum() != left_out.checksum()
    with pytest.raises(TrainingError, match="cannot be read"):
        LeaveOut.read(tmp_path / "none.txt")


def test_ratios_are_numbers():
    assert concepts_and_terms("2x3", "--related") == (2, 3)
    assert concepts_and_terms("0", "--related") == (0, 0)
    for wrong in ("2", "x2", "2x", "-1x2", "two"):
        with pytest.raises(BadArgument, match="--related is CONCEPTSxTERMS"):
            concepts_and_terms(wrong, "--related")
    with pytest.raises(BadArgument, match="hypernym terms"):
        Ratios(hypernym_terms=-1)


def test_the_work_can_be_sent_to_another_process(graph):
    mentions = Mentions(graph, Matcher.of(graph), LeaveOut.of([("source", "S")]))
    copied = pickle.loads(pickle.dumps(mentions))
    assert copied.find(TEXT) == mentions.find(TEXT)


def texts(count):
    chance = random.Random(3)
    names = [term for record in HEART for term in (record.preferred, *record.terms) if term]
    return [" ".join(chance.choices(["with", "no", *names], k=60)) + "." for _ in range(count)]


def test_the_same_bytes_with_one_worker_and_with_two(tmp_path, graph):
    notes = corpus(tmp_path, *texts(60))
    for workers in (1, 2):
        build_stage1(
            notes, graph, tmp_path / f"w{workers}.jsonl.gz", denied="negatives", workers=workers
        )
    assert (tmp_path / "w1.jsonl.gz").read_bytes() == (tmp_path / "w2.jsonl.gz").read_bytes()
    with gzip.open(tmp_path / "w1.jsonl.gz") as file:
        assert len(file.readlines()) > 60


CHILD = """
import sys, time
from pathlib import Path
from drehr_rag.kg import StoredGraph
from drehr_rag.training.corpus import Corpus
from drehr_rag.training.stage1 import build, work

class Slow(work.Stage1):
    def __call__(self, chunk):
        time.sleep(0.004)
        return super().__call__(chunk)

build.Stage1 = Slow
folder = Path(sys.argv[1])
notes = Corpus([folder / "notes.jsonl"], shortest=0)
graph = StoredGraph(folder / "kg")
print("begun", flush=True)
build.build_stage1(notes, graph, sys.argv[2], workers=int(sys.argv[3]))
print("done", flush=True)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_killed_build_goes_on(tmp_path, graph, workers):
    notes = corpus(tmp_path, *texts(150))
    build_stage1(notes, graph, tmp_path / "whole.jsonl")
    output, chance, kills = tmp_path / "killed.jsonl", random.Random(5), 0
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}
    while kills < 3:
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path, output, workers],
            stdout=subprocess.PIPE,
            env=environment,
        )
        child.stdout.readline()
        time.sleep(chance.random() * 0.3)
        child.send_signal(signal.SIGKILL)
        out, _ = child.communicate()
        assert b"done" not in out
        kills += 1
    build_stage1(notes, graph, output)
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def reply(*pairs):
    return json.dumps({"abbreviations": [{"short": s, "long": long} for s, long in pairs]})


def test_a_models_abbreviations_pass_the_papers_rules(tmp_path, graph):
    said = reply(
        ("HA", "Heart attack"),
        ("RA", "rash"),
        ("T", "time"),
        ("chest pain", "Chest  pain"),
        ("FA", "Vorhofflimmern"),
        ("", "time"),
    )
    text = "Since HA, RAS and T: chest pain with FA."
    with chat_server(lambda *_: said) as server:
        [record], manifest = built(tmp_path, graph, text, ratios=NOTHING, chat=Chat(server.url))
    assert record["entities"] == ["heart attack", "chest pain"]
    assert text in server.prompts[0]
    [body] = server.bodies
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("tiny-chat", 0.1, 512)
    settings = manifest["settings"]
    assert {name: settings[name] for name in ("model", "temperature", "max_tokens")} == {
        "model": "tiny-chat",
        "temperature": 0.1,
        "max_tokens": 512,
    }
    assert len(settings["prompt_sha256"]) == 64
    assert {k: v for k, v in manifest["counts"].items() if k.startswith("abbr")} == {
        "abbreviations kept": 1,
        "abbreviations refused: its own full name": 1,
        "abbreviations refused: not a word of the chunk": 2,
        "abbreviations refused: one character": 1,
        "abbreviations refused: the full name is no term of the graph": 1,
    }


CUT = json.dumps(
    {"choices": [{"message": {"content": '{"abbr'}, "finish_reason": "length"}]}
).encode()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Sure! HA means heart attack.", "no JSON of the form"),
        ('{"abbreviations": {"HA": 3}}', "no JSON of the form"),
        ('{"abbreviations": [{"short": "HA"}]}', "no JSON of the form"),
        ("[" * 100_000, "no JSON of the form"),
        (CUT, "reply was cut"),
    ],
)
def test_a_reply_that_cannot_be_used_is_a_counted_failure(tmp_path, graph, said, reason):
    with chat_server(lambda *_: said) as server:
        records, manifest = built(
            tmp_path, graph, *["Heart attack, HA."] * 3, chat=Chat(server.url)
        )
    [(told, count)] = manifest["failures"].items()
    assert reason in told
    assert count == 3
    assert len(records) == 3
    [failures] = tmp_path.glob("*.failures.jsonl")
    assert "Heart" not in failures.read_text()


@pytest.mark.parametrize("said", [500, 400, b'{"choices": []}'])
def test_a_server_that_breaks_down_is_asked_again(tmp_path, graph, monkeypatch, said):
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)
    notes, output = corpus(tmp_path, *["Heart attack, HA."] * 14), tmp_path / "llm.jsonl"
    with chat_server(lambda _, n: said if n > 3 else reply(("HA", "heart attack"))) as server:
        with pytest.raises(TrainingError, match=r"last 10 chunks had no answer"):
            build_stage1(notes, graph, output, chat=Chat(server.url, concurrency=1))
        server.say = lambda *_: reply(("HA", "heart attack"))
        manifest = build_stage1(notes, graph, output, chat=Chat(server.url))
    assert manifest["examples"] == 14
    assert manifest["failures"] == {}
    assert manifest["counts"]["abbreviations kept"] == 14


def test_a_server_that_is_busy_is_tried_again(tmp_path, graph, monkeypatch):
    monkeypatch.setattr("drehr_rag.generators._chat_client.pause", lambda *_: 0.0)
    say = lambda _, n: 503 if n < 4 else reply(("HA", "heart attack"))  # noqa: E731
    with chat_server(say) as server:
        _, manifest = built(tmp_path, graph, "Heart attack, HA.", chat=Chat(server.url))
    assert manifest["failures"] == {}
    assert len(server.prompts) == 4


def test_a_wrong_key_is_no_finished_build(tmp_path, graph):
    with chat_server(lambda *_: 401) as server, pytest.raises(GeneratorError, match="401"):
        built(tmp_path, graph, "Heart attack, HA.", chat=Chat(server.url))
    assert not list(tmp_path.glob("*.manifest.json"))
    with pytest.raises(BadArgument, match="one process"):
        built(tmp_path, graph, "HA.", chat=Chat("http://localhost:1"), workers=2)

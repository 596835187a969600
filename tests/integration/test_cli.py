"""The command line as a user meets it: what it prints, its exit codes, and no traceback."""

import json

import pytest
from qdrant_loopback import Loopback

from drehr_rag import ward
from drehr_rag._registry import names
from drehr_rag.cli._show import passage
from drehr_rag.notes.readers import read_notes

pytestmark = pytest.mark.usefixtures("one_encoder")

COMMANDS = (
    "annotate ask chat delete demo eval index info kg search serve-llm store train ward".split()
)
GROUPS = ["eval", "kg", "store", "train"]
STORE_COMMANDS = ["copy", "compact", "snapshot", "restore", "switch"]


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    path = tmp_path_factory.mktemp("notes") / "notes.jsonl"
    path.write_text("\n".join(note.model_dump_json() for note in ward.notes()))
    return path


@pytest.fixture(scope="module")
def store(notes, tmp_path_factory):
    from drehr_rag import EhrIndex

    folder = tmp_path_factory.mktemp("store") / "ward.idx"
    with EhrIndex.open(folder, encoder="offline") as index:
        index.add(notes)
    return folder


def test_every_command_shows_an_example(run):
    assert names("drehr_rag.cli") == COMMANDS
    alone = [name for name in COMMANDS if name not in GROUPS]
    measuring = [name for name in names("drehr_rag.cli.eval") if name != "archehr"]
    within = {
        "store": STORE_COMMANDS,
        "eval": [*names("drehr_rag.eval.benchmarks"), *measuring],
        "kg": ["build", "info", "lookup", "export"],
        "train": names("drehr_rag.cli.train"),
        "eval archehr": ["convert", "submission", "score"],
    }
    grouped = [f"{group} {name}" for group, inside in within.items() for name in inside]
    for name in [*alone, *grouped]:
        code, out, _ = run(*name.split(), "--help")
        assert code == 0
        assert f"Example: drehr-rag {name}" in " ".join(out.replace("│", " ").split())


OPTIONS = {"overflow": "split", "max_tokens": 128}


@pytest.mark.parametrize("given", ["by name", pytest.param("loaded", marks=pytest.mark.slow)])
def test_a_store_remembers_the_options_that_decide_its_vectors(run, notes, tmp_path, given):
    """The commands have no such options, and no user should have to repeat them."""
    from drehr_rag import EhrIndex, load_encoder
    from drehr_rag.errors import EncoderMismatch

    folder, speed = tmp_path / "x.idx", {"batch_size": 8, "backend": "torch"}
    how = {"encoder": "offline", "encoder_options": {**OPTIONS, **speed}}
    if given == "loaded":
        how = {"encoder": load_encoder("offline", **OPTIONS, **speed)}
    EhrIndex.open(folder, **how).close()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["encoder"]["options"] == OPTIONS
    assert run("index", notes, "--store", folder, "--encoder", "offline")[0] == 0
    code, out, err = run("search", "gout", "--store", folder, "--patient", "p01")
    assert code == 0 and "p01" in out, err
    assert run("ask", "Is there gout?", "--store", folder, "--patient", "p01")[0] == 0
    with EhrIndex.open(folder) as index:
        fingerprint = index.encoder.fingerprint
        assert (fingerprint.overflow, fingerprint.max_tokens) == ("split", 128)
    differ = "overflow: 'split' there, 'cut' here"
    with pytest.raises(EncoderMismatch, match=differ):
        EhrIndex.open(folder, encoder="offline", encoder_options={"overflow": "warn"})
    del manifest["encoder"]["options"]  # as older versions wrote it
    (folder / "manifest.json").write_text(json.dumps(manifest))
    EhrIndex.open(folder, encoder="offline", encoder_options=OPTIONS).close()
    with pytest.raises(EncoderMismatch, match=f"max_tokens: 128 there, 256 here, {differ}"):
        EhrIndex.open(folder, encoder="offline")


def test_index_then_index_again_then_info(run, notes, tmp_path):
    folder = tmp_path / "x.idx"
    code, out, _ = run("index", notes, "--store", folder, "--encoder", "offline", "--json")
    report = json.loads(out)[str(notes)]
    assert code == 0
    assert report["read"] == report["indexed"] == len(ward.notes())
    code, out, _ = run("index", notes, "--store", folder)
    rows = {line.split()[1]: line.split()[3] for line in out.splitlines() if line.count("│") == 3}
    assert code == 0
    assert rows["unchanged"] == str(len(ward.notes()))
    assert rows["chunks"] == "0"
    _, out, _ = run("info", "--store", folder, "--json")
    assert json.loads(out)["patients"] == 14
    code, out, _ = run("info", "--store", folder)
    assert code == 0 and "all-MiniLM-L6-v2 (mean, 384-d" in out


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [[], ["--json"]])
def test_index_says_what_encodes(run, notes, tmp_path, quiet, monkeypatch):
    monkeypatch.setattr("one_encoder._loaded", {})  # it is said when it is loaded
    where = ("--store", tmp_path / "x.idx", "--encoder", "offline", *quiet)
    pytest.importorskip("openvino")
    code, out, err = run("index", notes, *where, "--backend", "openvino")
    assert code == 0
    assert err.splitlines()[0].startswith("offline: openvino ")
    assert "openvino" not in out
    code, _, err = run("index", notes, *where, "--backend", "torch", "--device", "cpu")
    assert code == 0
    assert err.splitlines()[0].startswith("offline: torch ")
    code, _, err = run("search", "gout", "--store", tmp_path / "x.idx", "--patient", "p01")
    assert (code, err) == (0, "")


def test_index_with_a_backend_that_cannot_be(run, notes, tmp_path):
    where = ("--store", tmp_path / "x.idx", "--encoder", "offline")
    code, _, err = run("index", notes, *where, "--backend", "onnx")
    assert code == 2 and "backend is auto, torch or openvino, not 'onnx'" in err
    devices = ("--device", "cpu", "--device", "cpu")
    code, _, err = run("index", notes, *where, "--backend", "openvino", *devices)
    assert code == 2 and "leave out device" in " ".join(err.split())
    assert not (tmp_path / "x.idx").exists()


def test_search_in_each_scope(run, store, tmp_path):
    code, out, _ = run("search", "heart failure", "--store", store, "--patient", "p01", "--json")
    hits = json.loads(out)
    assert code == 0 and hits and {hit["patient_id"] for hit in hits} == {"p01"}
    raw = {note.note_id: note.text for note in ward.notes()}
    assert all(raw[h["note_id"]][h["start"] : h["end"]] == h["text"] for h in hits)

    stay = ("--patient", "p08", "--encounter", "p08-e1")
    _, out, _ = run("search", "heparin", "--store", store, *stay, "--json")
    assert {hit["encounter_id"] for hit in json.loads(out)} == {"p08-e1"}

    cohort = tmp_path / "cohort.txt"
    cohort.write_text("p03\np10\n")
    _, out, _ = run("search", "name", "--store", store, "--cohort", cohort, "--json", "-k", "50")
    assert {hit["patient_id"] for hit in json.loads(out)} == {"p03", "p10"}

    everybody = ("--all-patients", "--reason", "test")
    options = ("--by-patient", "-k", "4", "--per-patient", "2", "--json")
    _, out, _ = run("search", "stroke", "--store", store, *everybody, *options)
    groups = json.loads(out)
    assert len(groups) == 4
    assert all(1 <= len(group["hits"]) <= 2 for group in groups)


def test_a_graph_widens_a_search_and_hits_say_by_what(run, store, tmp_path):
    table = tmp_path / "terms.csv"
    table.write_text("id,term\nD:1,cardiac insufficiency\nD:1,heart failure\n")
    graph = tmp_path / "kg"
    assert run("kg", "build", graph, f"table:{table}?id=id&term=term")[0] == 0
    asked = ("search", "cardiac insufficiency", "--store", store, "--patient", "p01")
    code, out, err = run(*asked, "--graph", graph, "--json")
    assert code == 0, err
    match = json.loads(out)[0]["matches"][0]
    assert (match["term"], match["kind"], match["concept"]) == ("heart failure", "synonym", "D:1")
    _, out, _ = run(*asked, "--graph", graph)
    assert "by heart failure (synonym of cardiac insufficiency)" in " ".join(out.split())
    groups = json.loads(run(*asked, "--graph", graph, "--by-patient", "--json")[1])
    assert groups[0]["hits"][0]["matches"][0] == match


def test_what_the_graph_has_no_name_for_is_taken_for_the_nearest(run, store, tmp_path):
    table, names = tmp_path / "terms.csv", tmp_path / "names"
    table.write_text("id,term\nD:1,cardiac insufficiency\nD:1,heart failure\n")
    run("kg", "build", tmp_path / "kg", f"table:{table}?id=id&term=term")
    code, out, err = run("kg", "nearest", tmp_path / "kg", "--out", names, "--json")
    assert code == 0, err
    assert json.loads(out) == {"folder": str(names), "names": 2, "encoder": "offline"}
    assert "2 names by offline" in run("kg", "nearest", tmp_path / "kg", "--out", names)[1]
    asked = ("search", "insufficiency of the cardiac kind", "--store", store, "--patient", "p01")
    asked += ("--graph", tmp_path / "kg", "--nearest", names)
    match = json.loads(run(*asked, "--json")[1])[0]["matches"][0]
    assert (match["term"], match["near"]) == ("heart failure", "cardiac insufficiency")
    assert "by the nearest name, cardiac insufficiency" in " ".join(run(*asked)[1].split())
    code, _, err = run(*asked[:-1], tmp_path)
    assert code == 1 and "drehr-rag kg nearest" in " ".join(err.split())


def test_what_is_denied_is_told_and_can_be_left_out(run, store):
    asked = ("search", "chest pain", "--store", store, "--patient", "p01", "--mode", "lexical")
    told = {hit["assertion"] for hit in json.loads(run(*asked, "--json")[1])}
    assert "negated" in told and "negated" in run(*asked)[1]
    left = json.loads(run(*asked, "--assertion", "present", "--json")[1])
    assert {hit["assertion"] for hit in left} <= {"present", None}


def test_the_best_hits_are_looked_at_again(run, store):
    asked = ("search", "heparin allergy", "--store", store, "--patient", "p08", "--json")
    plain = json.loads(run(*asked)[1])
    code, out, err = run(*asked, "--rerank", "late-interaction")
    assert code == 0, err
    hits = json.loads(out)
    assert all(set(hit["scores"]) >= {"rerank"} for hit in hits)
    assert not any("rerank" in hit["scores"] for hit in plain)
    groups = json.loads(run(*asked, "--rerank", "late-interaction", "--by-patient")[1])
    assert groups[0]["hits"][0]["chunk_id"] == hits[0]["chunk_id"]
    combined = json.loads(run(*asked, "--rerank", "combined")[1])
    assert all(0 <= hit["scores"]["rerank"] <= 1 for hit in combined)


def test_the_packaged_graph_widens_a_search_and_explains_it(run, store):
    asked = ("search", "cardiac insufficiency", "--store", store, "--patient", "p01", "-k", "2")
    code, out, err = run(*asked, "--mode", "expanded", "--explain")
    assert code == 0, err
    shown = " ".join(out.lower().split())
    assert "“heart failure” is a synonym of “cardiac insufficiency”; a mention is worth" in shown
    assert "nearness of meaning (cosine)" in shown
    hit = json.loads(run(*asked, "--mode", "expanded", "--explain", "--json")[1])[0]
    told = [(m["term"].lower(), m["kind"]) for m in hit["matches"]]
    assert ("heart failure", "synonym") in told and "expanded" in hit["scores"]
    _, plainly, _ = run(*asked, "--mode", "hybrid", "--explain")
    assert "“" not in plainly and "nearness of meaning (cosine)" in plainly


def test_matched_words_and_section_stand_out(run, store):
    code, out, _ = run("search", "heparin allergy", "--store", store, "--patient", "p08", "-k", "1")
    assert code == 0
    assert "patient p08" in out and "§" in out and "heparin" in out.lower()
    shown = passage("No HEPARIN: allergies, heparins", "heparin allergies")
    marked = [shown.plain[span.start : span.end] for span in shown.spans]
    assert marked == ["HEPARIN", "allergies", "heparins"]


def test_filters_narrow(run, store):
    options = ("--store", store, "--patient", "p08", "--json", "-k", "99")
    _, out, _ = run("search", "pain", *options, "--note-type", "discharge summary")
    assert {hit["note_type"] for hit in json.loads(out)} == {"Discharge summary"}
    code, _, err = run("search", "pain", *options, "--since", "soon")
    assert code == 2 and "since is not a date" in err


def test_ask_cites_or_abstains(run, store):
    patient = ("--store", store, "--patient", "p08")
    code, out, _ = run("ask", "Why was enoxaparin stopped?", *patient, "--json")
    answer = json.loads(out)
    raw = {note.note_id: note.text for note in ward.notes()}
    assert code == 0 and answer["sentences"]
    for sentence in answer["sentences"]:
        for c in sentence["citations"]:
            assert raw[c["note_id"]][c["start"] : c["end"]] == c["quote"]
    code, out, _ = run("ask", "Does the patient have glaucoma?", *patient)
    assert code == 0 and out.startswith("No answer: ")


def test_ask_streams_the_same_answer(run, store):
    question = ("ask", "Why was enoxaparin stopped?", "--store", store, "--patient", "p08")
    assert run(*question, "--stream")[1] == run(*question)[1]
    *sentences, answer = map(json.loads, run(*question, "--stream", "--json")[1].splitlines())
    whole = json.loads(run(*question, "--json")[1])
    assert sentences == whole["sentences"]
    assert {**answer, "seconds": None} == {**whole, "seconds": None}


def test_ask_records_who_looked_at_what(run, store, tmp_path):
    audit = tmp_path / "audit.jsonl"
    question = ("ask", "Why was enoxaparin stopped?", "--store", store)
    for patient in ("p08", "p01"):
        assert run(*question, "--patient", patient, "--audit", audit)[0] == 0
    scopes = [json.loads(line)["scope"]["patient_id"] for line in audit.read_text().splitlines()]
    assert scopes == ["p08", "p01"]
    code, _, err = run(*question, "--patient", "p08", "--audit", tmp_path)
    assert code == 2 and "cannot be written" in err


def test_chat_answers_line_after_line(run, store, monkeypatch):
    lines = iter(["Why was enoxaparin stopped?", "", "Does he have glaucoma?", "exit", "never"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    code, out, _ = run("chat", "--store", store, "--patient", "p08")
    assert code == 0
    assert "STOPPED: enoxaparin (reaction above). [2]\n" in out
    assert out.count("No answer: ") == 1
    assert next(lines) == "never"
    code, _, err = run("chat", "--store", store)
    assert code == 2 and "--patient" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["search", "x", "--store", "STORE"], 2, "--patient ID"),
        (["search", "x", "--store", "STORE", "--all-patients"], 2, "needs --reason"),
        (["search", "x", "--store", "STORE", "--encounter", "e"], 2, "--patient"),
        (["search", "x", "--store", "STORE", "--patient", "p", "--all-patients"], 2, "once"),
        (["search", " ", "--store", "STORE", "--patient", "p"], 2, "query is empty"),
        (["search", "x", "--store", "STORE", "--patient", "p", "-k", "0"], 2, "k is how many"),
        (["search", "x", "--store", "STORE", "--patient", "p", "--mode", "nice"], 2, "hybrid"),
        (["search", "x", "--store", "STORE", "--cohort", "nofile"], 2, "cannot read the cohort"),
        (["search", "x", "--store", "/nowhere/x", "--patient", "p"], 1, "there is no store"),
        (["search", "x"], 2, "--store"),
        (["index", "nofile", "--store", "STORE"], 1, "there is no file"),
        (["index", "NOTES", "--store", "STORE", "--column", "x"], 2, "FIELD=VALUE"),
        (["index", "NOTES", "--store", "STORE", "--column", "who=x"], 2, "no field 'who'"),
        (["index", "NOTES", "--store", "STORE", "--format", "jsonlines"], 2, "jsonl"),
        (["index", "NOTES", "--store", "STORE", "--chunker", "words"], 2, "made with chunker"),
        (["index", "NOTES", "--store", "new.idx"], 1, "--encoder offline"),
        (["index", "NOTES", "--store", "new.idx", "--encoder", "ofline"], 2, "offline"),
        (["delete", "--store", "STORE"], 2, "--patient ID"),
        (["delete", "--store", "STORE", "--patient", "p01"], 2, "--yes"),
        (["ask", "x?", "--store", "STORE", "--patient", "p01",
          "--generator-url", "http://127.0.0.1:9"], 1, "does not answer"),
        (["serve"], 2, "No such command"),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)  # fmt: skip
def test_a_users_mistake_ends_in_one_line(
    run, store, notes, tmp_path, monkeypatch, arguments, code, message
):
    monkeypatch.chdir(tmp_path)
    places = {"STORE": store, "NOTES": notes}
    found, out, err = run(*(places.get(a, a) for a in arguments))
    assert found == code
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not (tmp_path / "new.idx").exists()


def test_unreadable_rows_are_set_aside(run, tmp_path):
    source = tmp_path / "some.jsonl"
    good = {"note_id": 1, "patient_id": 10000032, "text": "PLAN:\nHeparin."}
    source.write_text(
        f"{json.dumps(good)}\n{{broken\n{json.dumps({**good, 'note_id': 2, 'text': ''})}\n"
    )
    folder = tmp_path / "x.idx"
    code, out, _ = run("index", source, "--store", folder, "--encoder", "offline", "--json")
    report = json.loads(out)[str(source)]
    assert code == 0 and (report["read"], report["indexed"], report["rejected"]) == (3, 1, 2)
    rows = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    assert [(row["line"], row["reason"]) for row in rows] == [
        (2, "broken JSON"),
        (3, "text is missing or holds no text"),
    ]
    assert (folder / "rejects.jsonl").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    code, _, err = run("index", source, "--store", folder, "--strict")
    assert code == 1 and "some.jsonl:2: broken JSON" in err


def test_delete(run, notes, tmp_path):
    folder = tmp_path / "x.idx"
    run("index", notes, "--store", folder, "--encoder", "offline")
    code, out, _ = run("delete", "--store", folder, "--patient", "p08", "--yes")
    assert code == 0 and out.endswith("chunks of patient p08 deleted\n")
    _, out, _ = run("search", "heparin", "--store", folder, "--patient", "p08")
    assert out.strip() == "nothing found in scope"
    code, out, _ = run("delete", "--store", folder, "--note", "p01-n1", "--yes", "--json")
    assert code == 0 and json.loads(out)["deleted_chunks"] > 0


def test_the_demo_shows_the_whole_way(run, tmp_path):
    code, out, _ = run("demo", "--store", tmp_path / "ward.idx")
    assert code == 0
    for shown in ("indexed", "Search one patient", "Search everybody", "Ask:", "[1]", "No answer"):
        assert shown in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "x", "--patient", "p01", "--mode", "fusion"], "no retriever is called"),
        (["search", "x", "--patient", "p01", "--since", ""], "since is empty"),
        (["search", "x", "--patient", "p01", "--reason", "y"], "goes with --all-patients"),
        (["search", "x", "--patient", "p01", "--per-patient", "2"], "goes with --by-patient"),
        (["search", "x", "--patient", "p01", "-k", "9" * 25], "whole number"),
        (["search", "x", "--patient", "p01", "--assertion", "denied"], "ranked, present, any"),
        (
            ["search", "x", "--patient", "p01", "--mode", "rrf", "--graph", "f"],
            "go with mode expanded",
        ),
        (["search", "x", "--patient", "p01", "--abbreviations", "f"], "there is no file f"),
        (["search", "x", "--patient", "p01", "--abbreviations", "no.tsv"], "no file no.tsv"),
        (["search", "x", "--patient", "p01", "--graph", "g", "--mode", "rrf"], "not rrf"),
        (["search", "x", "--patient", "p01", "--graph", "/no/graph"], "/no/graph"),
        (["search", "x", "--patient", "p01", "--rerank", "best"], "no reranker is called 'best'"),
        (["ask", "x", "--patient", "p01", "--model", "m"], "goes with --generator-url"),
        (["ask", "x", "--patient", "p01", "--generator-url", ""], "--generator-url is empty"),
        (["index", "NOTES", "--cleaning", "cliniq"], "goes with --chunker words"),
        (["index", "NOTES", "--rejects", "/no/where/r.jsonl"], "cannot be written to"),
        (["index", "NOTES", "/no/such/file"], "there is no file"),
    ],
)
def test_options_that_cannot_be_meant_are_errors(run, store, notes, arguments, message):
    line = [notes if a == "NOTES" else a for a in arguments]
    code, _, err = run(*line, "--store", store)
    assert code in (1, 2) and message in " ".join(err.split())


@pytest.mark.parametrize("place", [":memory:", "ftp://host/x", "HDFS://host/x"])
def test_places_that_are_no_store(run, notes, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, _ = run("index", notes, "--store", place, "--encoder", "offline")
    assert code == 2 and list(tmp_path.iterdir()) == []


def test_patients_that_are_not_here_are_counted(run, store, tmp_path):
    (tmp_path / "ids.txt").write_text("patient_id\np01\nP01\n")
    code, out, err = run("search", "fever", "--store", store, "--cohort", tmp_path / "ids.txt")
    assert code == 0 and out and "2 of 3 patients have no note here" in err
    (tmp_path / "none.txt").write_text("\n")
    code, out, err = run("search", "fever", "--store", store, "--cohort", tmp_path / "none.txt")
    assert code == 0 and "the cohort is empty" in err and "nothing found" in out


def test_codes_in_a_note_do_not_steer_the_terminal(run, tmp_path):
    row = {"note_id": 1, "patient_id": 1, "text": "gout \u001b[2J flare.\u0007"}
    (tmp_path / "n.jsonl").write_text(json.dumps(row))
    run("index", tmp_path / "n.jsonl", "--store", tmp_path / "x", "--encoder", "offline")
    _, out, _ = run("search", "gout", "--store", tmp_path / "x", "--patient", "1")
    assert "\x1b" not in out and "\x07" not in out and r"\x1b[2J" in out


def test_the_demo_stays_out_of_other_peoples_stores(run, tmp_path):
    row = {"note_id": 1, "patient_id": "real", "text": "gout."}
    (tmp_path / "n.jsonl").write_text(json.dumps(row))
    run("index", tmp_path / "n.jsonl", "--store", tmp_path / "x", "--encoder", "offline")
    code, _, err = run("demo", "--store", tmp_path / "x")
    assert code == 2 and "holds other patients" in err


def test_reading_never_makes_a_store(run, tmp_path):
    for command in ("search", "ask"):
        code, _, err = run(
            command, "x", "--patient", "1", "--store", tmp_path / "no", "--encoder", "offline"
        )
        assert code == 1 and "there is no store" in err
    assert not (tmp_path / "no").exists()


def test_store_commands(run, store, tmp_path):
    copied, file, back = tmp_path / "copy.idx", tmp_path / "x.snapshot", tmp_path / "back.idx"
    code, out, _ = run("store", "copy", store, copied, "--layout", "quantisation=int8", "--json")
    assert code == 0
    report = json.loads(out)
    chunks = json.loads(run("info", "--store", store, "--json")[1])["chunks"]
    assert report["chunks"] == chunks and report["difference"] == 0
    assert (
        json.loads(run("info", "--store", copied, "--json")[1])["layout"]["quantisation"] == "int8"
    )
    code, out, _ = run("store", "copy", store, copied)
    assert code == 0 and f"{chunks} chunks copied and read back" in out and "checksum" in out
    code, out, _ = run("delete", "--store", copied, "--patient", "p01", "--yes")
    assert code == 0
    code, out, _ = run("store", "compact", copied)
    assert code == 0 and "MB before" in out
    assert run("store", "snapshot", copied, file)[0] == 0
    code, out, _ = run("store", "restore", file, back, "--json")
    assert code == 0 and json.loads(out) == {"store": str(back)}
    found = json.loads(run("info", "--store", back, "--json", "--access", "exact=true")[1])
    assert 0 < found["chunks"] < chunks


def test_a_store_moves_to_a_server_and_an_alias_to_the_next(run, store, tmp_path, monkeypatch):
    monkeypatch.setenv("QDRANT_API_KEY", "right")
    with Loopback(api_key="right", strict=True) as server:
        chunks = json.loads(run("info", "--store", store, "--json")[1])["chunks"]
        for version in ("ehr-v1", "ehr-v2"):
            code, out, _ = run("store", "copy", store, f"{server.url}/{version}", "--json")
            report = json.loads(out)
            assert code == 0 and report["chunks"] == chunks and report["difference"] < 1e-6
        alias = f"{server.url}/ehr"
        code, out, _ = run("store", "switch", alias, "--to", "ehr-v1")
        assert code == 0 and "is now ehr-v1" in " ".join(out.split()) and "before" not in out
        assert run("delete", "--store", f"{server.url}/ehr-v2", "--patient", "p01", "--yes")[0] == 0
        found = [json.loads(run("info", "--store", alias, "--json")[1])["chunks"]]
        code, out, _ = run("store", "switch", alias, "--to", "ehr-v2", "--json")
        assert json.loads(out) == {"alias": alias, "collection": "ehr-v2", "before": "ehr-v1"}
        found.append(json.loads(run("info", "--store", alias, "--json")[1])["chunks"])
        assert found[0] == chunks > found[1] > 0
        back = tmp_path / "back.idx"
        assert run("store", "copy", f"{server.url}/ehr-v1", back)[0] == 0
        assert json.loads(run("info", "--store", back, "--json")[1])["chunks"] == chunks
        code, _, err = run("store", "switch", alias, "--to", "ehr-v9")
        assert code == 1 and "ehr-v9" in err
    assert {request.headers["api-key"] for request in server.requests} == {"right"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["store", "compact", "http://127.0.0.1:9"], "does not answer"),
        (["store", "switch", "here.idx", "--to", "v2"], "only a server has aliases"),
        (["store", "restore", "nothing", "x.idx"], "there is no file nothing"),
        (["store", "copy", "nothing.idx", "x.idx"], "there is no store at nothing.idx"),
        (["info", "--store", "x.idx", "--access", "api_key=secret"], "QDRANT_API_KEY"),
        (["info", "--store", "x.idx", "--access", "patience=1"], "no option 'patience'"),
        (["index", ".", "--store", "x.idx", "--layout", "precision=8"], "precision"),
    ],
)
def test_mistakes_with_stores_are_told(run, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(*arguments)
    assert code in (1, 2) and said in " ".join(err.split()) and "Traceback" not in err
    assert not (tmp_path / "x.idx").exists()


def test_the_ward_is_written_once(run, tmp_path):
    code, out, _ = run("ward", tmp_path / "n.jsonl")
    assert (code, out.split(": ")[1]) == (0, "73 notes of 14 patients\n")
    assert [note.text for note in read_notes(tmp_path / "n.jsonl")] == [
        n.text for n in ward.notes()
    ]
    code, _, err = run("ward", tmp_path / "n.jsonl")
    assert code == 2 and "is there: name a new file" in " ".join(err.split())

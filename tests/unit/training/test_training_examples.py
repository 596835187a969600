"""Records of training: read, refused, written, sampled."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drehr_rag.errors import TrainingError
from drehr_rag.training.examples import Example, read_examples, write_examples

GOOD = {"idx": "n1_0", "text": "Known CHF.", "entities": ["CHF", "heart failure"]}


def lines(file, *rows):
    file.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows))
    return file


def test_the_authors_record_and_ours(tmp_path):
    ours = {**GOOD, "idx": "n1_1", "concepts": ["C1", None], "negatives": ["gout"]}
    one, other = read_examples(lines(tmp_path / "a.jsonl", GOOD, "", ours))
    assert (one.idx, one.entities, one.concepts) == ("n1_0", ("CHF", "heart failure"), None)
    assert (other.concepts, other.negatives) == (("C1", None), ("gout",))


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_written_and_read_again(tmp_path, name):
    examples = [
        Example(**{**GOOD, "entities": ("naïve 🫀",)}),
        Example(idx="2", text="t", entities=("a", "b"), concepts=(None, "C2"), negatives=("c",)),
    ]
    assert write_examples(tmp_path / name, examples) == 2
    assert list(read_examples(tmp_path / name)) == examples
    raw = (tmp_path / name).read_bytes()
    assert (raw[:2] == b"\x1f\x8b") == name.endswith("gz")
    first = (gzip.decompress(raw) if name.endswith("gz") else raw).splitlines()[0]
    assert list(json.loads(first)) == ["idx", "text", "entities"]  # the authors' record, no more


BAD = {
    "entities are empty": {**GOOD, "entities": []},
    "entities Field required": {"idx": "1", "text": "t"},
    "entities[1] holds no text": {**GOOD, "entities": ["a", " "]},
    "entities[0] Input should be a valid string": {**GOOD, "entities": [7]},
    "entities Input should be a valid tuple": {**GOOD, "entities": "secret"},
    "1 concepts for 2 entities": {**GOOD, "concepts": ["C1"]},
    "text holds no text": {**GOOD, "text": ""},
    "idx is missing": {**GOOD, "idx": None},
    "concept Extra inputs are not permitted": {**GOOD, "concept": ["secret"]},
    "broken JSON": '{"idx": "secret',
    "not a JSON object": '["secret"]',
}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_line_is_an_error_with_its_number_and_why(tmp_path, reason):
    file = lines(tmp_path / "a.jsonl", GOOD, "", BAD[reason], GOOD)
    rows = read_examples(file)
    next(rows)
    with pytest.raises(TrainingError) as problem:
        next(rows)
    assert str(problem.value).startswith(f"{file}:3: {reason}")
    assert "secret" not in str(problem.value)


def test_bad_lines_are_counted(tmp_path):
    rejects = []
    file = lines(tmp_path / "a.jsonl", GOOD, *BAD.values(), GOOD)
    assert len(list(read_examples(file, on_reject=rejects.append))) == 2
    assert [reject.line for reject in rejects] == list(range(2, 2 + len(BAD)))
    assert rejects[0].note_id == "n1_0"


def test_bytes_that_are_no_text_and_damaged_files(tmp_path):
    (tmp_path / "a").write_bytes(b'{"idx": "\xff"}\n')
    with pytest.raises(TrainingError, match="a:1: bytes that are not UTF-8"):
        list(read_examples(tmp_path / "a"))
    with pytest.raises(TrainingError, match=r"cannot read .*nowhere"):
        list(read_examples(tmp_path / "nowhere"))
    write_examples(tmp_path / "b.gz", [Example(**{**GOOD, "entities": ("a",)})] * 99)
    (tmp_path / "b.gz").write_bytes((tmp_path / "b.gz").read_bytes()[:-9])
    with pytest.raises(TrainingError, match="damaged after line"):
        list(read_examples(tmp_path / "b.gz"))
    with pytest.raises(TrainingError, match="cannot be written"):
        write_examples(tmp_path / "none" / "a", [])


def test_it_is_a_stream(tmp_path):
    rows = read_examples(lines(tmp_path / "a.jsonl", GOOD, "{"))
    assert next(rows).idx == "n1_0"  # the next line has not been looked at


def test_repr_hides_what_the_note_says():
    example = Example(idx="n1_0", text="Known CHF.", entities=("CHF",), negatives=("gout",))
    assert repr(example) == "Example(idx='n1_0')"


def make(count, idx="n1_0"):
    return Example(idx=idx, text="t", entities=tuple(f"e{i}" for i in range(count)))


def test_fewer_positives_repeat_the_list_up_to_the_number():
    assert make(3).sample(8, seed=0, epoch=0) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert make(3).sample(3, seed=1, epoch=5) == [0, 1, 2]
    assert make(1).sample(2, seed=0, epoch=0) == [0, 0]


def test_more_are_drawn_afresh_at_each_visit():
    visits = [make(300).sample(128, seed=0, epoch=epoch) for epoch in range(20)]
    assert all(len(set(visit)) == 128 for visit in visits)
    assert len({tuple(visit) for visit in visits}) == 20
    assert set().union(*visits) == set(range(300))  # each has its turn


@given(st.integers(0, 2**40), st.integers(0, 99))
def test_a_draw_depends_on_seed_epoch_and_idx_alone(seed, epoch):
    draw = make(20).sample(5, seed=seed, epoch=epoch)
    assert draw == make(20).sample(5, seed=seed, epoch=epoch)
    others = [
        make(20, "n2_0").sample(5, seed=seed, epoch=epoch),
        make(20).sample(5, seed=seed + 1, epoch=epoch),
        make(20).sample(5, seed=seed, epoch=epoch + 1),
    ]
    assert any(other != draw for other in others)


def test_a_draw_is_the_same_in_another_process_and_version():
    assert make(20).sample(5, seed=7, epoch=1) == [5, 11, 14, 1, 10]

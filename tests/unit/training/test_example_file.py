"""Examples read one by one from the disk are those that are read as a stream."""

import gzip

import pytest
from unit.training.training_examples import make_examples

from drehr_rag.errors import TrainingError
from drehr_rag.training.example_file import ExampleFile
from drehr_rag.training.examples import read_examples, write_examples


@pytest.mark.parametrize("name", ["e.jsonl", "e.jsonl.gz"])
def test_the_same_in_any_order(name, tmp_path):
    made = make_examples(12)
    write_examples(tmp_path / name, made)
    held = ExampleFile(tmp_path / name)
    assert len(held) == 12
    assert [held[i] for i in (7, 0, 11, 7)] == [made[i] for i in (7, 0, 11, 7)]
    assert held[2:5] == made[2:5]
    assert list(held) == list(read_examples(tmp_path / name))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_byte_order_mark_blank_lines_and_no_last_new_line(pack, tmp_path):
    write_examples(tmp_path / "e.jsonl", make_examples(2))
    lines = (tmp_path / "e.jsonl").read_bytes().splitlines()
    (tmp_path / "odd").write_bytes(pack(b"\xef\xbb\xbf" + b"\r\n\n".join(lines)))
    assert list(ExampleFile(tmp_path / "odd")) == make_examples(2)


def test_a_line_that_cannot_be_used_is_named_without_its_text(tmp_path):
    file = tmp_path / "e.jsonl"
    file.write_text(
        '{"idx": "a", "text": "secret", "entities": ["x"]}\n{"idx": "b", "text": "secret"}\n'
    )
    with pytest.raises(TrainingError, match=r"e\.jsonl:2: entities") as problem:
        ExampleFile(file)
    assert "secret" not in str(problem.value)


def test_empty_missing_and_damaged_files(tmp_path):
    (tmp_path / "empty").write_text("\n\n")
    with pytest.raises(TrainingError, match="holds no example"):
        ExampleFile(tmp_path / "empty")
    with pytest.raises(TrainingError, match="cannot read"):
        ExampleFile(tmp_path / "nowhere")
    write_examples(tmp_path / "e.gz", make_examples(9))
    (tmp_path / "cut.gz").write_bytes((tmp_path / "e.gz").read_bytes()[:-9])
    with pytest.raises(TrainingError, match="is damaged"):
        ExampleFile(tmp_path / "cut.gz")


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    import tempfile

    class Full:
        """A disk without room: what is written stays in memory until it is flushed."""

        def write(self, line):
            return len(line)

        def flush(self):
            raise OSError(28, "No space left on device")

    write_examples(tmp_path / "e.jsonl.gz", make_examples(2))
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(TrainingError, match=r"unpacked into .*No space left on device; TMPDIR"):
        ExampleFile(tmp_path / "e.jsonl.gz")

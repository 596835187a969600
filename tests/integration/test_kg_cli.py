"""`drehr-rag kg` as a user types it."""

import json
import sys

import pytest

from drehr_rag import cli

TABLE = "code,name,other,up\n1,Myocardial infarction,heart attack|MI,2\n2,Heart disease,,\n"


@pytest.fixture
def kg(tmp_path, monkeypatch, capsys):
    """Runs a command; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text(TABLE)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["drehr-rag", "kg", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return run


SOURCE = "d.csv?id=code&term=name&synonyms=other&parent=up&prefix=D&parent_prefix=D&licence=CC0"


def test_build_info_lookup_export(kg, tmp_path):
    code, out, _ = kg("build", "g", SOURCE)
    assert (code, "2 concepts, 4 terms, 1 is a" in out) == (0, True)
    assert "  d.csv (table; CC0): 2 records" in out
    code, out, _ = kg("info", "g", "--check", "--json")
    assert json.loads(out)["sources"][0]["licence"] == "CC0"
    code, out, _ = kg("lookup", "g", "Heart  Attack")
    assert out.splitlines() == [
        "D:1 Myocardial infarction",
        "  synonyms: heart attack; MI",
        "  broader: Heart disease (D:2)",
    ]
    code, out, _ = kg("lookup", "g", "D:2", "--json")
    assert json.loads(out)[0]["hyponyms"] == ["D:1"]
    code, out, _ = kg("export", "g", "files")
    assert json.loads((tmp_path / "files" / "CUI2pt.json").read_text())["D:2"] == "heart disease"


def test_mistakes_end_in_one_line(kg, tmp_path):
    kg("build", "g", SOURCE)
    for words, code, why in (
        (("lookup", "g", "xyz"), 2, "no term and no concept"),
        (("info", "nothing"), 1, "holds no graph"),
        (("build", "h", "no.obo"), 1, "there is no file"),
        (("build", "h", "d.csv?id=nr"), 2, "no column"),
        (("build", ".", "d.csv?id=code"), 1, "is no graph"),
    ):
        got, out, err = kg(*words)
        assert (got, out, len(err.splitlines())) == (code, "", 1), words
        assert why in err
    blob = tmp_path / "g" / "terms.blob.npy"
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    assert "damaged (terms.blob.npy)" in kg("info", "g", "--check")[2]

"""The page's file: what stands in it, what never does, and what it allows a browser to do."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

import pytest
from eval_results import made, rankings, task

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.report.find import find_results
from drehr_rag.eval.report.page import SCRIPTS, embedded, write_page
from drehr_rag.eval.scoring import score

ASSETS = files("drehr_rag.eval.report").joinpath("assets")
HOSTILE = "</script><img src=x onerror=alert(1)><!--"
SECRET = "the note says so"


def results(queries=12, names=("one", "two"), **more):
    on = task(queries, **more)
    runs = [rankings(on, seed) for seed in range(len(names))]
    return [
        made(n, [], cells=score(on, r), task_=on, run=r) for n, r in zip(names, runs, strict=True)
    ]


def page(tmp_path, found, **more):
    file = tmp_path / "report.html"
    cuts = write_page(found, file, **more)
    return file.read_text("utf-8"), cuts


def data_of(text):
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    return json.loads(block[1])


def test_nothing_of_the_data_can_end_its_block(tmp_path):
    found = results(texts={0: HOSTILE}, names=(HOSTILE, "two"))
    text, _ = page(tmp_path, found, texts=lambda ids: dict.fromkeys(ids, HOSTILE))
    assert text.count("</script>") == 2
    assert "<img" not in text
    data = data_of(text)
    assert data["queries"][0][1] == HOSTILE
    assert data["results"][0]["name"] == HOSTILE
    assert set(data["texts"].values()) == {HOSTILE}


def test_embedded_json_reads_back():
    data = {"a": "<>&\u2028 é 💊", "b": [1.5, None]}
    assert json.loads(embedded(data)) == data
    assert not set("<>&") & set(embedded(data))


def test_the_policy_allows_only_the_pages_own_script_and_style(tmp_path):
    text, _ = page(tmp_path, results())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        body = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = b64encode(sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_the_page_names_no_other_place():
    for name in ("template.html", "style.css", *SCRIPTS):
        text = ASSETS.joinpath(name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|\bsrc=|@import|url\(|<link|innerHTML|eval\(", text), name
        assert not re.search(r"<[^>]+\son\w+=", text), name


def test_each_script_is_in_the_page():
    assert {f.name for f in ASSETS.iterdir()} == {"template.html", "style.css", *SCRIPTS}


def test_text_only_if_asked_for(tmp_path):
    found = results()
    without, _ = page(tmp_path, found)
    assert SECRET not in without
    assert data_of(without)["texts"] is None
    text, _ = page(tmp_path, found, texts=lambda ids: dict.fromkeys(ids, SECRET))
    assert SECRET in text


def test_a_page_too_large_is_cut_and_says_so(tmp_path):
    found = results(40)
    long = "word " * 300
    whole, said = page(tmp_path, found, texts=lambda ids: dict.fromkeys(ids, long))
    assert said == ["the first 20 chunks of each ranking are in this page"]
    bound = len(whole) - 15_000
    less, said = page(tmp_path, found, texts=lambda ids: dict.fromkeys(ids, long), largest=bound)
    assert len(less.encode()) <= bound
    assert said[1:] == ["40 passages are cut to 1000 characters"]
    assert data_of(less)["cuts"] == said
    _, said = page(tmp_path, found, texts=lambda ids: dict.fromkeys(ids, long), largest=1)
    assert said[-1] == "passages' text is not in it: the page would be too large"
    smallest, said = page(tmp_path, found, largest=1)
    assert said[0].startswith("the first 0 chunks")
    assert data_of(smallest)["rankings"][0] == [[]] * 40


def test_missed_chunks_keep_their_ranks(tmp_path):
    found = results()
    data = data_of(page(tmp_path, found)[0])
    query = list(found[0].queries).index("q3")
    for number, grade, match, *ranks in data["judged"][query]:
        chunk = data["chunks"][number]
        judgment = found[0].qrels["q3"][chunk]
        assert (grade, data["matches"][match]) == (judgment.grade, judgment.match)
        for result, rank in zip(found, ranks, strict=True):
            order = sorted(result.run["q3"], key=result.run["q3"].get, reverse=True)
            assert rank == (order.index(chunk) + 1 if chunk in order else 0)


def test_the_same_results_make_the_same_page(tmp_path):
    one, two = (data_of(page(tmp_path, results())[0]) for _ in range(2))
    assert {**one, "made": "", "results": ""} == {**two, "made": "", "results": ""}


def test_results_are_found_in_a_folder(tmp_path):
    for one in results(names=("b", "a")):
        one.save(tmp_path / one.name)
    (tmp_path / "other").mkdir()
    assert [one.name for one in find_results(tmp_path)] == ["a", "b"]
    assert [one.name for one in find_results(tmp_path / "b")] == ["b"]
    with pytest.raises(EvaluationError, match="no result and holds none"):
        find_results(tmp_path / "other")
    made("another", [0.1]).save(tmp_path / "c")
    with pytest.raises(EvaluationError, match="queries are not the same"):
        find_results(tmp_path)


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme):
    """WCAG 2.1, 1.4.3: text has a contrast of 4.5 to what it stands on."""
    style = ASSETS.joinpath("style.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", style, re.S)[scheme]
    named = dict(re.findall(r"--(\w+): (#\w{6})", block))
    for front in ("ink", "soft", "accent", "bad", "s0", "s1", "s2", "s3", "s4", "s5"):
        assert contrast(named[front], named["card"]) >= 4.5, front
    for back in ("page", "hover", "hit", "miss", "mark", "m0", "m1", "m2", "m3", "m4", "m5"):
        assert contrast(named["ink"], named[back]) >= 4.5, back
    assert contrast(named["soft"], named["hit"]) >= 4.5

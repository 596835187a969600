"""A cross-encoder behind a real vLLM server, and the same one in this process."""

import os
import signal

import pytest
from vllm_server import serving

from drehr_rag import EhrIndex, Patient, ward
from drehr_rag.errors import RerankerError
from drehr_rag.rerankers import load_reranker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(
        "DREHR_VLLM_PYTHON" not in os.environ,
        reason="no vLLM: type make test-real, which installs it into a venv of its own",
    ),
]
QUERY = "heart failure of the toe"
TEXTS = ["gout", "heart failure, no pain.", "toe of the heart " * 9, "unknown words", "pain " * 900]


def test_served_and_local_agree_and_then_the_server_dies(tmp_path):
    from unit.rerankers.tiny_cross_encoder import save_cross_encoder

    folder = save_cross_encoder(tmp_path / "bert", hidden=256)
    local = load_reranker(f"cross-encoder:{folder}", precision="float32")
    log = tmp_path / "log"
    with serving(folder, "--runner", "pooling", max_len=512, dtype="float32", log=log) as (
        url,
        process,
    ):
        served = load_reranker(f"served:{url}", batch_size=2, retries=1)
        assert served.name.endswith("?served_model=tiny")
        expected = local.score(QUERY, TEXTS)
        assert served.score(QUERY, TEXTS) == pytest.approx(expected, abs=1e-3)
        with EhrIndex.open(tmp_path / "x.idx", encoder="offline") as index:
            index.add(note for note in ward.notes() if note.patient_id == "p08")
            found = []
            for reranker in (local, served):
                index.use_reranker(reranker, share=1.0)
                hits = index.search("heparin allergy", scope=Patient("p08"), mode="reranked")
                found.append([(hit.chunk.chunk_id, hit.scores["rerank"]) for hit in hits])
            assert len(found[0]) > 1 and [c for c, _ in found[0]] == [c for c, _ in found[1]]
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(60)
            with pytest.raises(RerankerError, match="does not answer"):
                index.search("heparin allergy", scope=Patient("p08"), mode="reranked")

"""Hybrid search reads only what it returns, and ranks as the benchmarks do."""

from drehr_rag import AllPatients, EhrIndex, Note
from drehr_rag.retrievers import load_retriever
from drehr_rag.stores._where import NO_FILTERS
from drehr_rag.testing import HashEncoder

EVERYBODY = AllPatients(reason="test")
TEXTS = ["chest pain", "chest pain", "chest pain", "fever and cough", "heart failure", "fever"]


def test_a_ranking_has_the_order_of_a_search_also_of_equal_scores():
    encoder = HashEncoder()
    notes = [
        Note(note_id=f"n{i}", text=text, patient_id=f"p{i % 3}") for i, text in enumerate(TEXTS * 5)
    ]
    queries = ["chest pain", "fever", "heart"]
    with EhrIndex.open(":memory:", encoder=encoder) as index:
        index.add(notes)
        for name in ("hybrid", "rrf"):
            retriever = load_retriever(name, encoder=encoder, store=index._store)
            for k in (3, 7, 30):
                asked = {"scope": EVERYBODY, "filters": NO_FILTERS, "k": k}
                hits = retriever.retrieve(queries, **asked)
                ranked = retriever.rank(queries, **asked)
                for some, places in zip(hits, ranked, strict=True):
                    assert len(some) == k
                    assert [h.chunk.chunk_id for h in some] == [r.chunk_id for r in places]
                    assert [h.score for h in some] == [r.score for r in places]
                    assert [h.scores for h in some] == [r.scores for r in places]
                    equal = len(some) - len({h.score for h in some})
                    assert equal or name == "rrf" or k < 30

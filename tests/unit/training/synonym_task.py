"""An invented task that a tiny random BERT can learn: concepts with two names that share nothing.

Chunks use the first name, queries the second; examples name both.
"""

import random

from unit.encoders.tiny_models import add_modules, save_bert

from drehr_rag.eval.task import Judgment, Passage, Query, Task
from drehr_rag.training.examples import Example, write_examples
from drehr_rag.training.settings import Settings

CONCEPTS = 24
FILLER = "the patient was seen with and of no on at by for after before then".split()
FIRST = [f"{a}{b}" for a in "bdfg" for b in ("ao", "ei", "iu", "oa", "ue", "yo")]
SECOND = [f"{a}{b}" for a in "klmn" for b in ("ao", "ei", "iu", "oa", "ue", "yo")]

SMALL = Settings(
    positives=4,
    batch=8,
    steps=6,
    lr=5e-3,
    passage_tokens=24,
    entity_tokens=8,
    every=3,
    save_every=2,
)


def save_model(folder, *, pooling=None, prompts=None):
    """A random BERT of 2 layers that knows the task's words."""
    options = {"pooling": pooling} if pooling else {}
    save_bert(folder, words=[*FIRST, *SECOND, *FILLER, ":", "query"], spread=0.02)
    return add_modules(folder, prompts=prompts, **options)


def chunk(concepts, chance):
    """Words around first names."""
    words = [chance.choice(FILLER) for _ in range(12)]
    for concept in concepts:
        words.insert(chance.randrange(len(words)), FIRST[concept])
    return " ".join(words)


def examples(count=160, seed=0):
    chance = random.Random(seed)
    made = []
    for number in range(count):
        concepts = chance.sample(range(CONCEPTS), 2)
        entities = [name[c] for c in concepts for name in (FIRST, SECOND)]
        made.append(
            Example(
                idx=f"n{number}_0",
                text=chunk(concepts, chance),
                entities=tuple(entities),
                concepts=tuple(f"C{c}" for c in concepts for _ in range(2)),
            )
        )
    return made


def example_file(place, count=160, seed=0, name="examples.jsonl.gz"):
    write_examples(place / name, examples(count, seed))
    return place / name


def task(count=96, seed=1):
    """Chunks that were not trained on; each concept is asked for by its second name."""
    chance = random.Random(seed)
    found = [(chance.sample(range(CONCEPTS), 2), i) for i in range(count)]
    passages = {f"t{i}_0": Passage(chunk(concepts, chance), f"t{i}") for concepts, i in found}
    qrels = {
        f"q{c}": {f"t{i}_0": Judgment(1) for concepts, i in found if c in concepts}
        for c in range(CONCEPTS)
    }
    asked = {f"q{c}": Query(SECOND[c]) for c in range(CONCEPTS) if qrels[f"q{c}"]}
    judged = {query: judged for query, judged in qrels.items() if judged}
    return Task("synonyms", passages, asked, judged, measures={"multi-patient": ("nDCG@10",)})

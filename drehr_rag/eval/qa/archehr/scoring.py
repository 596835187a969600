"""A submission against the key: citations strict and lenient, and the words of the answer.

Counts and averages are those of the shared task's scorer: per case the set of all ids cited, an id
that is not right is wrong, whether it exists or not; its BLEU, SARI, BERTScore, AlignScore and
MEDCON are not computed here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from drehr_rag.errors import EvaluationError
from drehr_rag.eval.qa.archehr.cases import Case
from drehr_rag.eval.qa.archehr.submission import Line, Submission
from drehr_rag.eval.qa.scores.agreement import Agreement, figures
from drehr_rag.eval.qa.scores.rouge import rouge_l

MOST_WORDS = 75
"""Words of an answer that the shared task scores; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Faults of a submission that cost points but do not stop the scoring.

    Attributes:
        without_citation: Cases that cite nothing (the shared task's scorer refuses them).
        uncited_lines: Sentences without pipes.
        empty_pipes: Sentences with nothing between the pipes.
        unknown_ids: Cited ids that the case does not have, such as `x` in `|2,x|`.
        too_long: Answers of more than 75 words.
    """

    without_citation: int
    uncited_lines: int
    empty_pipes: int
    unknown_ids: int
    too_long: int


@dataclass(frozen=True, slots=True)
class Scores:
    """What a submission is worth; shares are from 0 to 1."""

    cases: int
    strict: dict[str, float | None]
    lenient: dict[str, float | None]
    rouge_l: float | None
    faults: Counted

    def record(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def score(submission: Submission, cases: Sequence[Case]) -> Scores:
    """Score a submission that was read against these cases.

    Raises:
        EvaluationError: The cases were read without their key.
    """
    if any(case.relevance is None for case in cases):
        raise EvaluationError("scoring needs the key: give archehr-qa_key.json")
    pairs = [(case, submission[case.case_id]) for case in cases]
    texts = [rouge_l(_said(lines), _essential(case)) for case, lines in pairs]
    return Scores(
        cases=len(cases),
        strict=figures([_agreement(case, lines, ("essential",)) for case, lines in pairs]),
        lenient=figures(
            [_agreement(case, lines, ("essential", "supplementary")) for case, lines in pairs]
        ),
        rouge_l=sum(texts) / len(texts) if texts else None,
        faults=_counted(pairs),
    )


def _agreement(case: Case, lines: Sequence[Line], labels: Sequence[str]) -> Agreement:
    right = {name for name, label in (case.relevance or {}).items() if label in labels}
    cited = _cited(lines)
    return Agreement(len(right & cited), len(cited), len(right))


def _cited(lines: Sequence[Line]) -> set[str]:
    return {name for line in lines for name in line.cited}


def _words(lines: Sequence[Line]) -> list[str]:
    return " ".join(line.said for line in lines).split()


def _said(lines: Sequence[Line]) -> str:
    return " ".join(_words(lines)[:MOST_WORDS])


def _essential(case: Case) -> str:
    relevance = case.relevance or {}
    wanted = [s for s in case.sentences if relevance[s.sentence_id] == "essential"]
    return "\n".join(case.words(sentence) for sentence in wanted)


def _counted(pairs: Sequence[tuple[Case, Sequence[Line]]]) -> Counted:
    every = [line for _, lines in pairs for line in lines]
    return Counted(
        without_citation=sum(not _cited(lines) for _, lines in pairs),
        uncited_lines=sum(not line.marked for line in every),
        empty_pipes=sum(line.marked and not line.cited for line in every),
        unknown_ids=sum(
            len(_cited(lines) - {s.sentence_id for s in case.sentences}) for case, lines in pairs
        ),
        too_long=sum(len(_words(lines)) > MOST_WORDS for _, lines in pairs),
    )

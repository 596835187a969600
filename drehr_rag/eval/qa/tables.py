"""A report as rows: what is measured, its value, over how many."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

DASH = "–"
"""For a number that nothing was counted for."""


class Row(NamedTuple):
    """One line of the table."""

    group: str
    measure: str
    value: str
    over: str


def rows(report: Mapping[str, Any]) -> list[Row]:
    """The report's numbers in the order in which they are read."""
    return [
        *_account(report["account"]),
        *_retrieval(report["retrieval"]),
        *_answers(report["answers"]),
        *_citations(report["citations"]),
        *_abstention(report["abstention"]),
        *_faithfulness(report["faithfulness"]),
    ]


def markdown(report: Mapping[str, Any]) -> str:
    """The table in Markdown, for a file or an issue."""
    lines = ["| | measure | value | over |", "|---|---|---|---|"]
    lines += [f"| {row.group} | {row.measure} | {row.value} | {row.over} |" for row in rows(report)]
    return "\n".join([title(report), "", *lines]) + "\n"


def title(report: Mapping[str, Any]) -> str:
    """Which set, by which chain."""
    run = report["run"]
    asked, there = report["account"]["questions"], run["set"]["questions"]
    part = f"{asked} of {there}" if asked != there else f"{there}"
    chain = ", ".join(
        f"{name} {value}" for name, value in run["chain"].items() if isinstance(value, str | int)
    )
    return f"{run['set']['name']}: {part} questions" + (f"; {chain}" if chain else "")


def number(value: Any) -> str:
    """Three digits after the point; counts as they are."""
    if value is None:
        return DASH
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _account(account: Mapping[str, Any]) -> Iterator[Row]:
    asked = f"{account['questions']} questions"
    for name in ("answered", "abstained", "failed"):
        yield Row("run", name, number(account[name]), asked)
    for reason, count in account["errors"].items():
        yield Row("run", f"failed: {reason}", str(count), asked)
    if missing := account.get("patients_without_notes"):
        yield Row("run", "patients of the set without a note in the store", str(missing), DASH)
    yield Row("run", "sentences removed", number(account["removed_sentences"]), asked)
    well = f"{account['questions'] - account['failed']} questions"
    for name in ("p50", "p95"):
        yield Row("run", f"seconds {name}", number(account[f"seconds_{name}"]), well)
    by = account["tokens_reported_by"]
    for name in ("prompt", "completion"):
        told = number(account[f"{name}_tokens"]) if by else "not reported"
        yield Row("run", f"{name} tokens", told, f"{by} questions")


def _retrieval(retrieval: Mapping[str, Any]) -> Iterator[Row]:
    groups = {"evidence": retrieval["all"]}
    if set(retrieval["by_entities"]) - {"not counted"}:
        groups |= {f"evidence, entities: {n}": g for n, g in retrieval["by_entities"].items()}
    for group, found in groups.items():
        over = f"{found['questions']} questions"
        yield from (Row(group, n, number(v), over) for n, v in found.items() if n != "questions")


def _answers(answers: Mapping[str, Any]) -> Iterator[Row]:
    names = {"exact_match": "exact match", "token_f1": "token F1", "rouge_l": "ROUGE-L"}
    for name, shown in names.items():
        yield Row("answers", shown, number(answers[name]), f"{answers['questions']} questions")


def _citations(citations: Mapping[str, Any]) -> Iterator[Row]:
    over = f"{citations['questions']} questions"
    for level in ("span", "sentence"):
        for variant in ("strict", "lenient"):
            found = citations.get(f"{level}_{variant}")
            if found is None:
                yield Row("citations", f"{level}, {variant}", "needs the notes", over)
                continue
            group = f"citations by {level}, {variant}"
            for name in ("precision", "recall", "f1", "macro_f1"):
                yield Row(
                    group, name.replace("f1", "F1").replace("_", " "), number(found[name]), over
                )


def _abstention(abstention: Mapping[str, Any]) -> Iterator[Row]:
    for name, shown in (("answerable", "answerable"), ("not_in_notes", "not in the notes")):
        found = abstention[name]
        total = f"{sum(found.values())} questions"
        for what in ("answered", "abstained"):
            yield Row("abstention", f"{shown}: {what}", number(found[what]), total)
    kinds = (("by_evidence", "right: cites evidence"), ("by_token_f1", "right: token F1"))
    for name, shown in kinds:
        found = abstention[name]
        over = f"{found['questions']} questions"
        for what in ("coverage", "accuracy", "aurc"):
            label = what.upper() if what == "aurc" else what
            yield Row(f"abstention, {shown}", label, number(found[what]), over)


def _faithfulness(found: Mapping[str, Any] | None) -> Iterator[Row]:
    if found is None:
        yield Row("faithfulness", "judge", "none asked", DASH)
        return
    group = f"faithfulness, judge {found['judge']}, prompt {found['prompt_sha256'][:12]}"
    shown: Sequence[str] = ("supported", "partly", "unsupported", "unfit_replies", "failed")
    for name in shown:
        over = f"{found['sentences']} sentences"
        yield Row(group, name.replace("_", " "), number(found[name]), over)
    share = number(found["supported_share"])
    yield Row(group, "share supported", share, f"{found['judged']} judged sentences")

"""A comparison to the sentence that may be drawn from it."""

from drehr_rag.eval.comparing.comparison import Comparison, Difference

NAMED = 4
"""Differences that a sentence names in full."""


def conclusion(comparison: Comparison) -> str:
    """What may be concluded, in a sentence.

    That a difference was not found is never said to be equality: the intervals show what is still
    possible.
    """
    made = comparison.differences
    better = [one for one in made if one.significant and one.difference > 0]
    worse = [one for one in made if one.significant and one.difference < 0]
    if not better and not worse:
        return _none(comparison)
    said = []
    if better:
        said.append(f"{comparison.b} is better than {comparison.a} on {_named(better)}")
    if worse:
        subject = "and worse" if better else f"{comparison.b} is worse than {comparison.a}"
        said.append(f"{subject} on {_named(worse)}")
    after = _after(comparison.tested)
    several = after and len(better) + len(worse) > 1
    whole = "; ".join(said) + (f" (each p{after})" if several else after)
    rest = len(made) - len(better) - len(worse)
    if rest:
        whole += (
            f"; on the other {rest} no difference may be concluded, which does not show that "
            "there is none"
        )
    return whole + "."


def figure(one: Difference) -> str:
    """A difference with its interval: `+0.021 [+0.012, +0.030]`."""
    ends = f" [{one.interval[0]:+.3f}, {one.interval[1]:+.3f}]" if one.interval else ""
    return f"{one.difference:+.3f}{ends}".replace("-", "−")


def probability(p: float) -> str:
    """As papers print it: `.0004`, `.03`, `.21`, `1`; never 0."""
    digits = 4 if p < 0.001 else 3 if p < 0.1 else 2
    rounded = f"{p:.{digits}f}"
    return "< .0001" if float(rounded) == 0 else "1" if float(rounded) == 1 else rounded[1:]


def _named(found: list[Difference]) -> str:
    first = sorted(found, key=lambda one: one.p_holm)[:NAMED]
    said = [f"{one.part}: {figure(one)}, p = {probability(one.p_holm)}" for one in first]
    more = len(found) - len(first)
    return "; ".join(said) + (f"; and {more} more" if more else "")


def _after(comparisons: int) -> str:
    return f" after Holm over {comparisons} comparisons" if comparisons > 1 else ""


def _none(comparison: Comparison) -> str:
    made = comparison.differences
    least = min(made, key=lambda one: one.p)
    if not any(value for one in made for value in one.queries.values()):
        return (
            f"{comparison.a} and {comparison.b} scored every query the same on all of {len(made)} "
            "comparisons: no difference may be concluded."
        )
    corrected = f"least p = {probability(least.p_holm)}{_after(comparison.tested)}"
    return (
        f"No difference between {comparison.a} and {comparison.b} may be concluded "
        f"({corrected}, {least.part}: {figure(least)}); that does not show that there is none: "
        "any within the intervals remains possible."
    )

"""An answer's words against the acceptable answers: exact match and token F1, as in SQuAD."""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalised(text: str) -> str:
    """Lower case, without punctuation and articles, single spaces.

    As in the evaluation script of SQuAD (Rajpurkar et al., EMNLP 2016, §6.1).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(said: str, accepted: str) -> float:
    """1 if both are the same after normalisation, else 0."""
    return float(normalised(said) == normalised(accepted))


def token_f1(said: str, accepted: str) -> float:
    """Harmonic mean of precision and recall over words, each as often as it stands there."""
    ours, theirs = normalised(said).split(), normalised(accepted).split()
    if not ours or not theirs:
        return float(ours == theirs)
    shared = (Counter(ours) & Counter(theirs)).total()
    return 2 * shared / (len(ours) + len(theirs))


def best(measure: Callable[[str, str], float], said: str, accepted: Sequence[str]) -> float:
    """The measure against the acceptable answer that it is nearest to."""
    return max(measure(said, answer) for answer in accepted)

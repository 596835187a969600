"""How surely notes tell what a question asks for, in one number: below, it is not answered."""

import re
from collections.abc import Sequence

import numpy as np

from drehr_rag.generators._signals import Sentence, Signals

LEAST = 0.53
"""How much of what is asked for must be told; below, it abstains. Chosen on the ward's dev and
practice questions, between the goals of docs/measurements.md."""

HALF = 0.5
"""Mentions of a thing by which half of it is told. Chosen there; .3 to 1 do as well, but with more
than .6 a kind of which one is named once is too little told ("Does he take a statin?")."""

HALF_RESULT = 0.75
"""The same where a result is asked for: notes name more tests than results. Chosen there; twice
as much does better still, but with more than .8 a result that stands once is too little told."""

PLANNED = 0.2
"""What a mention counts that is of what may be done, where a result is asked for. Chosen there;
0 to .4 do as well."""

_RESULT = re.compile(
    r"(?i)(?<!as a )\bresults?\b"
    r"|\b(?:outcomes?|reports?|levels?|numbers?|index|tit(?:re|er)s?|scores?|grades?|findings?"
    r"|values?|measurements?|tested|screened|scanned|checked|measured)\b"
    r"|\bwhat (?:did|does|do|was|were) .*\b(?:show|shown|say|said|find|found|conclude|reveal)\b"
)
_PLANNED = re.compile(
    r"(?i)\b(?:if|unless|will|would|should|to be|due|tomorrow|pending|await\w*|book(?:ed|ing)?"
    r"|order(?:ed)?|schedul\w+|plan(?:ned|s)?|arrang\w+|consider\w*|refer(?:red|ral)?|ask"
    r"|request\w*|repeat|recheck|not (?:indicated|needed|done|sent|performed|available))\b"
)
"""Ward English, written by one who had seen which practice questions were wrongly answered: half
of what it brings there may be owed to that (docs/measurements.md)."""


def told(question: str, known: Signals, sentences: Sequence[Sentence]) -> float:
    """How much the sentences tell of what is asked for, from 0 to 1.

    The more of them have a thing, the surer: what one has, may stand there by chance. That a test
    is booked, or what to do if it is abnormal, does not tell its result.

    Args:
        question: In plain words.
        known: Its signals.
        sentences: What they were read from.
    """
    result = bool(_RESULT.search(question))
    counts = [PLANNED if result and _PLANNED.search(one.text) else 1.0 for one in sentences]
    mentions = np.array(counts) @ known.found
    shares = mentions / (mentions + (HALF_RESULT if result else HALF))
    return float(known.says @ shares) / max(float(known.says.sum()), 1e-9)

"""Words of queries and names: what is looked for, and in which forms."""

import re
from collections.abc import Iterator

from drehr_rag.notes.folding import american, singular, words

COMMON = frozenset(
    """
    a about above act add after again age ago aid aids aim air all also am an and any are arm as
    ask at ate away back bad bag bar bat be bed been best bid big bit both box boy but buy by call
    came can car case cat cause cold come cope cup cut dad date day days did die diet do does done
    down dry due each ear ears eat eats egg end etc ever eye face fall far fast fat feel feet few
    find fit five fix for four free from full gas gave get girl give go goes good got had has have
    he head heal hear heat held help her here him hip his hit hot hour how i ice if ill in is it
    its job just keep kept kid know lab lap last late law lead left leg less let lid lie life like
    line lip list live local long look lot low made make male man many map may me mean meet men
    mild mom more most much must my nap near neck need new next no none nor not now of off oil old
    on once one only open or other our out over own pack pad page pain pan part pass past pat pet
    pick pill pin plan play plus pop post put raise ran rare rash rate raw ray read real rest rib
    rice ride right rise role room run sad safe said same sat save saw say see seen self send sent
    set she short show sick side since sip sit site six size skin skip slow small so some soon sore
    spot step still stop such sure swim tab take talk tan tap task tea ten test than that the their
    them then there these they thin this those three tide till time tip to toe told too took top toy
    try turn two up upon us use used very via visit walk want warm was way we week well went were
    wet what when where which while who why will wish with work yes yet you your
    """.split()
)
"""Ordinary English words of few letters: never read as abbreviations, never searched for alone."""

GENERAL = COMMON | frozenset(
    """
    abnormal abnormality acute adult adults bilateral care child children chronic condition
    conditions days diagnosis disease diseases disorder disorders drug drugs effect evidence exam
    examination family female finding findings history hospital infant infants injury left male
    medical medication medications men method methods mild moderate months normal patient patients
    people person persons present problem procedure procedures recent report result results review
    severe sign signs status surgery symptom symptoms syndrome syndromes test tests therapy
    treatment treatments unspecified weeks women years
    """.split()
)
"""Words of which most notes have one: alone they name nothing that could be widened."""

SHORT = 6
"""Signs of an abbreviation at most."""

LONGEST = 8
"""Words of a name; in the shared graphs 95 of 100 names have no more."""

TURNED = 4
"""Words of a name that may stand in another order at most."""

_TAIL = re.compile(
    r"(?i)(?:\s*[(\[](?:disorder|disease|disease/finding|finding|morphology|procedure|nos)[)\]]"
    r"|,? nos)\s*$"
)


def looks_short(term: str) -> bool:
    """Whether a name is an abbreviation: one word of few signs, two of them capitals."""
    return len(term) <= SHORT and term.isalnum() and sum(map(str.isupper, term)) >= 2


def natural(name: str) -> str:
    """A name as a note would have it: "Failure, Heart (disorder)" is "Heart Failure"."""
    while (bare := _TAIL.sub("", name)) != name:
        name = bare
    head, comma, tail = name.partition(", ")
    return f"{tail} {head}" if comma and "," not in tail else name


def fit(term: str) -> bool:
    """Whether a name can be looked for: no number, no common words, no sentence."""
    own = words(term)
    letters = sum(map(str.isalpha, term))
    common = all(word.lower() in GENERAL for word in own)
    return letters >= 2 and len(own) <= LONGEST and not common


def variants(span: list[str]) -> Iterator[str]:
    """Other ways to write a few words: folded, plural, turned round ("abdominal pain upper")."""
    said = american(" ".join(span)).split()
    plain = [singular(word) for word in said]
    yield " ".join(said)
    yield " ".join(plain)
    yield " ".join([*plain[:-1], plain[-1] + "s"])
    if len(said) <= TURNED:
        for at in range(1, len(said)):
            yield " ".join(said[at:] + said[:at])

"""Words of our own, so that the pieces of a random model carry no one else's licence."""

import random

TEXT = """
the ferry leaves at six, and the harbour is still dark. we carry the boxes to the quay; nobody speaks much. is it cold? a little, yes.
when the engine starts, the gulls rise all at once, and the water turns from black to grey to green. the captain's dog sleeps through it.
later there is coffee, bread and a café song on the radio. the señora from the market sells pears, plums and über-ripe cherries.
she counts slowly: one, two, three, four, five, six, seven, eight, nine, ten. how many do you want? twelve, please, and thank you!
the island has one road, one school, one bell. the bell rings at noon, at three and at the end of the day, naïve and a bit out of tune.
in the evening the wind comes back from the west. doors shut, lamps go on, and somebody tells the story of the lighthouse again.
it is never the same story. sometimes the keeper is old, sometimes he is a child, and once there was no keeper at all, only the light.
""".strip()

ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "qu",
    "r",
    "s",
    "sh",
    "sl",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "y",
    "z",
]
NUCLEI = ["a", "ai", "e", "ea", "i", "o", "oo", "ou", "u", "ü", "é", "ñi"]
CODAS = ["", "n", "r", "s", "t", "ck", "ll", "mp", "nd", "st"]


def corpus(pieces: int, seed: int) -> list[str]:
    """Lines enough for `pieces` pieces: the text above, and beyond some hundreds of pieces made-up words."""
    lines = TEXT.split("\n")
    chooser = random.Random(seed)
    syllables = [onset + nucleus + coda for onset in ONSETS for nucleus in NUCLEI for coda in CODAS]
    # About 1.3 new pieces come from each made-up word of two syllables.
    words = [
        "".join(chooser.choices(syllables, k=chooser.randint(1, 3))) for _ in range(0 if pieces <= 400 else pieces * 2)
    ]
    return lines + [" ".join(words[at : at + 12]) for at in range(0, len(words), 12)]

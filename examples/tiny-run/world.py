"""A small world to learn: eight abilities, from the agreement of subject and verb to sums of several steps.

Everything follows from `SEED`. Each ability draws documents: a question with its answer, and what else is said. A
document's `key` names the problem apart from its wording, and a hash of the key says whether it is for training or held
out: the two can't meet, however many documents are drawn. Words are separated by spaces, and a document ends with a
full stop.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

SEED = 2404_01204
PAGE_WORDS = 39
"""Words on a page of training text; with a token for its begin and one for its end it fills a row."""

LETTERS = tuple("bcdfghjklmnp")
NAMES = tuple(
    first + second
    for first in ("an", "be", "ca", "do", "el", "fi", "gu", "ha", "iv", "jo")
    for second in ("da", "ki", "lo", "mi", "na", "ra", "ro", "sa", "to", "vi")
)
FRIENDS = NAMES[::13]
ROOMS = ("attic", "cellar", "garden", "garage", "hall", "kitchen", "office", "studio")
CITIES = ("bern", "cairo", "delhi", "lima", "oslo", "paris", "quito", "rome", "seoul", "tunis")
JOBS = ("baker", "dentist", "farmer", "judge", "mason", "nurse", "painter", "pilot", "sailor", "tailor")
PETS = ("beetle", "camel", "duck", "eagle", "fox", "goose", "hamster", "lizard", "mouse", "newt")
NOUNS = tuple((noun, f"{noun}s") for noun in ("bird", "boy", "cat", "dog", "girl", "goat", "horse", "king"))
VERBS = tuple((f"{verb}s", verb) for verb in ("dance", "eat", "jump", "laugh", "rest", "sing", "sleep", "wait"))
PLACES = ("above", "behind", "near", "under")
WHEN = ("again", "now", "often", "today")
LARGEST_TOTAL, LARGEST_OPERAND = 39, 19
QUESTIONS = 7
"""On one text about who is in which room."""

# What is stated of a name, how it is asked, and the answers that there are.
RELATIONS = (
    ("lives in", "where does {} live ?", CITIES),
    ("works as", "what work does {} do ?", JOBS),
    ("keeps a", "which pet does {} keep ?", PETS),
)


@dataclass(frozen=True)
class Document:
    """`given` is drawn at random and can't be foreseen; what follows from it is `said`, the answer, and `rest`.

    An evaluation asks for the answer after `given` and `said`; training reads all of it. `shows` are the keys of other
    problems whose answers stand in its text.
    """

    given: str
    choices: tuple[str, ...]
    answer: int
    key: str
    said: str = ""
    rest: str = ""
    shows: tuple[str, ...] = ()

    @property
    def prompt(self) -> str:
        return _joined(self.given, self.said)

    @property
    def target(self) -> str:
        return self.choices[self.answer]

    @property
    def learned(self) -> str:
        """All that follows from what is given."""
        return _joined(self.said, self.target, self.rest, ".")

    @property
    def text(self) -> str:
        return _joined(self.given, self.learned)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _choice(
    rng: random.Random, given: str, right: str, wrong: Sequence[str], key: str, said: str = "", rest: str = ""
) -> Document:
    """A document with the right choice among the wrong ones, at a place that says nothing."""
    choices = [right, *wrong]
    rng.shuffle(choices)
    return Document(given, tuple(choices), choices.index(right), key, said, rest)


def agreement(rng: random.Random) -> Document:
    """The verb agrees with its subject, also where a noun of the other number stands nearer."""
    subject, nearer, verb = rng.choice(NOUNS), rng.choice(NOUNS), rng.choice(VERBS)
    number = rng.randrange(2)
    words = ["the", subject[number]]
    if rng.random() < 2 / 3:
        words += [rng.choice(PLACES), "the", nearer[1 - number if rng.random() < 2 / 3 else number]]
    when = rng.choice(WHEN)
    right, wrong = f"{verb[number]} {when}", f"{verb[1 - number]} {when}"
    given = " ".join(words)
    return _choice(rng, given, right, [wrong], f"agreement {given} {right}")


def copying(rng: random.Random) -> Document:
    """A list is said again: what comes next stands in the text already."""
    words = rng.sample(LETTERS + FRIENDS + ROOMS, rng.randint(6, 16))
    place = rng.randrange(len(words))
    right = words[place]
    wrong = rng.sample([word for word in words if word != right], 3)
    listed = " ".join(words)
    said, rest = " ".join(words[:place]), " ".join(words[place + 1 :])
    return _choice(rng, f"repeat {listed} :", right, wrong, f"copying {listed}", said, rest)


def reading(rng: random.Random) -> Document:
    """Who is in which room: told at the start, then asked in any order."""
    names, rooms = rng.sample(FRIENDS, 4), rng.sample(ROOMS, 4)
    pairs = list(zip(names, rooms, strict=True))
    given = "rooms " + " , ".join(f"{name} {room}" for name, room in pairs) + " ;"
    asked = [rng.choice(pairs) for _ in range(QUESTIONS)]
    place = rng.randrange(QUESTIONS)
    said = "".join(f"{name} {room} , " for name, room in asked[:place]) + asked[place][0]
    rest = " ".join(f", {name} {room}" for name, room in asked[place + 1 :])
    right = asked[place][1]
    return _choice(rng, given, right, [room for room in rooms if room != right], f"reading {given}", said, rest)


def _book_of_facts() -> dict[str, tuple[str, str, str]]:
    rng = random.Random(SEED)
    return {name: (rng.choice(CITIES), rng.choice(JOBS), rng.choice(PETS)) for name in NAMES}


FACTS = _book_of_facts()


def statement(rng: random.Random) -> Document:
    """What is known of a name. It teaches the facts and is never evaluated."""
    name = rng.choice(NAMES)
    order = rng.sample(range(3), 3)
    told = " and ".join(f"{RELATIONS[which][0]} {FACTS[name][which]}" for which in order)
    return Document(name, (told,), 0, f"statement {name}")


def facts(rng: random.Random) -> Document:
    """A question about a fact. Training states every fact, and never asks for those held out."""
    name, which = rng.choice(NAMES), rng.randrange(3)
    _, question, values = RELATIONS[which]
    right = FACTS[name][which]
    wrong = rng.sample([value for value in values if value != right], 3)
    return _choice(rng, question.format(name), right, wrong, f"facts {name} {which}")


def ordering(rng: random.Random) -> Document:
    """Four numbers from the smallest to the largest."""
    numbers = rng.sample(range(LARGEST_TOTAL + 1), 4)
    ordered = [str(number) for number in sorted(numbers)]
    place = rng.randrange(3)
    given = f"order {' '.join(map(str, numbers))} :"
    wrong = [str(number) for number in numbers if str(number) != ordered[place]]
    said, rest = " ".join(ordered[:place]), " ".join(ordered[place + 1 :])
    return _choice(rng, given, ordered[place], wrong, f"ordering {' '.join(ordered)}", said, rest)


def _step(rng: random.Random, total: int) -> tuple[str, int, int]:
    """An operator, an operand and the new total, between nothing and the largest."""
    if rng.random() < 0.5:
        operand = rng.randint(0, min(LARGEST_OPERAND, LARGEST_TOTAL - total))
        return "+", operand, total + operand
    operand = rng.randint(0, min(LARGEST_OPERAND, total))
    return "-", operand, total - operand


def _near(number: int) -> list[str]:
    return [str(n) for n in range(max(0, number - 4), min(LARGEST_TOTAL, number + 4) + 1) if n != number]


def arithmetic(rng: random.Random) -> Document:
    """One step. The same two numbers the other way round may have been seen; this sum never."""
    first = rng.randint(0, LARGEST_OPERAND)
    operator, second, total = _step(rng, first)
    problem = f"{first} {operator} {second}"
    return _choice(rng, f"{problem} =", str(total), rng.sample(_near(total), 3), f"arithmetic {problem}")


def chain(rng: random.Random) -> Document:
    """Several steps: the problem is written down again, each total in its place. One slip and the rest is wrong."""
    total = rng.randint(0, LARGEST_OPERAND)
    problem, worked, shows = [str(total)], [str(total)], []
    for _ in range(rng.randint(2, 3)):
        before = total
        operator, operand, total = _step(rng, before)
        if before <= LARGEST_OPERAND:
            shows.append(f"arithmetic {before} {operator} {operand}")
        problem += [operator, str(operand)]
        worked += [operator, str(operand), "=", str(total)]
    given = f"total {' '.join(problem)} :"
    return Document(given, (" ".join(worked),), 0, f"chain {given}", shows=tuple(shows))


Draw = Callable[[random.Random], Document]

EVALUATED: dict[str, Draw] = {
    "agreement": agreement,
    "copying": copying,
    "facts": facts,
    "reading": reading,
    "ordering": ordering,
    "arithmetic": arithmetic,
    "chain": chain,
}
# How many pages of a hundred are of each kind.
MIXTURE: dict[Draw, int] = {
    agreement: 10,
    copying: 13,
    statement: 13,
    facts: 7,
    reading: 20,
    ordering: 9,
    arithmetic: 14,
    chain: 14,
}
# One document a page where the answer is looked up in the text before it: an earlier text would contradict.
ALONE = frozenset({copying, reading})
_HELD_OUT_ONE_IN = {"statement": 0, "facts": 2, "arithmetic": 4}


def held_out(key: str) -> bool:
    """Whether the problem is for evaluation alone."""
    one_in = _HELD_OUT_ONE_IN.get(key.partition(" ")[0], 8)
    return one_in > 0 and zlib.crc32(key.encode()) % one_in == 0


def draw(kind: Draw, rng: random.Random, *, for_training: bool) -> Document:
    """The next document of a kind on one side of the hold-out. What is for training shows nothing held out."""
    while True:
        document = kind(rng)
        if for_training:
            if not any(held_out(key) for key in (document.key, *document.shows)):
                return document
        elif held_out(document.key):
            return document


def pages(seed: int) -> Iterator[list[Document]]:
    """Training text without end: pages of one kind each, filled with whole documents."""
    rng = random.Random(seed)
    kinds, weights = list(MIXTURE), list(MIXTURE.values())
    while True:
        kind = rng.choices(kinds, weights)[0]
        page = [draw(kind, rng, for_training=True)]
        words = len(page[0].text.split())
        while kind not in ALONE:
            document = draw(kind, rng, for_training=True)
            words += len(document.text.split())
            if words > PAGE_WORDS:
                break
            page.append(document)
        yield page


def examples(ability: str, count: int, *, for_training: bool = False) -> list[Document]:
    """Different documents of an ability, each problem once: `count`, or as many as there are."""
    rng = random.Random(f"{SEED} {ability} {for_training}")
    found: dict[str, Document] = {}
    for _ in range(count * 20):
        document = draw(EVALUATED[ability], rng, for_training=for_training)
        found.setdefault(document.key, document)
        if len(found) == count:
            break
    return list(found.values())


def vocabulary() -> list[str]:
    """Every word of the world, in an order that never changes."""
    words: set[str] = {*LETTERS, *NAMES, *ROOMS, *CITIES, *JOBS, *PETS, *PLACES, *WHEN}
    words.update(word for pair in NOUNS + VERBS for word in pair)
    words.update(str(number) for number in range(LARGEST_TOTAL + 1))
    words.update(word for stated, question, _ in RELATIONS for word in f"{stated} {question}".split())
    words.update(["the", "and", "repeat", "rooms", "order", "total", ":", ",", ";", "+", "-", "=", "."])
    return sorted(words - {"{}"})

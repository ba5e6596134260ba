"""How the requests of a unit share the engine's work. Pure: token ids in, prompts to submit and answers out.

Every log-likelihood is asked in one form: the prompt is context and continuation without its last token, and the last
tokens of all continuations that share this prompt are asked at its end ("next tokens"). What stands in the prompt
itself comes as "rows": row `p` is the log-probability of `prompt[p]` after `prompt[:p]`.

Two traps are handled here. Rows inside the cached prefix are uninitialised memory, so `refused_rows` says which may not
be believed; a sibling has usually scored them, else they are asked again as a next token. And a row's rank counts
equals, so a row may be `TIED`: whether its token is the first among equals is asked again too.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fineline_evaluator.scoring import Loglikelihood, LoglikelihoodRequest

MAX_NEXT_TOKENS = 128
"""vLLM's limit on `logprob_token_ids`."""
WARM_BLOCKS = 4
"""A context with at least so many blocks of its own is submitted by itself first. Its rows, of which each costs a pass
through the vocabulary, are then never made; the tokens after its last whole block are computed once more."""

Tokens = tuple[int, ...]


class Greedy(enum.Enum):
    """Whether a token is the most probable one. `TIED`: as probable as the best, but perhaps not the first of them."""

    NO = 0
    YES = 1
    TIED = 2


@dataclass(frozen=True, slots=True)
class Ask:
    """One engine request. `rows_from`: the first row that is wanted; `len(prompt)` where none is."""

    prompt: Tokens
    next_tokens: Tokens
    rows_from: int

    @property
    def wants_rows(self) -> bool:
        return self.rows_from < len(self.prompt)


@dataclass(frozen=True, slots=True)
class Score:
    """Of one token at one place, in nats."""

    logprob: float
    greedy: Greedy


@dataclass(frozen=True, slots=True)
class Reply:
    """What the engine said to one `Ask`: `rows[i]` is row `rows_from + i`; `cached` is its `num_cached_tokens`."""

    next_tokens: Mapping[int, Score]
    rows: Sequence[Score]
    cached: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`asks` in the order to submit: sorted, so that prompts with a common prefix stand together, the shortest first.
    `asked_at_context`: the contexts at whose end the first token of every continuation is asked."""

    asks: tuple[Ask, ...]
    asked_at_context: frozenset[Tokens] = field(default_factory=frozenset)


def plan(requests: Iterable[LoglikelihoodRequest], block_size: int | None) -> Plan:
    """The prompts to submit for these requests. `block_size` None: nothing is cached between them."""
    wanted: dict[Tokens, dict[Tokens, None]] = {}
    next_tokens: dict[Tokens, set[int]] = {}
    for request in requests:
        wanted.setdefault(request.context, {})[request.continuation] = None
        next_tokens.setdefault(request.context + request.continuation[:-1], set()).add(request.continuation[-1])

    longer = {context for context, continuations in wanted.items() if any(len(each) > 1 for each in continuations)}
    at_context = {context for context in longer if context in next_tokens}
    if block_size is not None:
        at_context |= _worth_warming(longer - at_context, wanted, block_size)
    rows_from: dict[Tokens, int] = {}
    for context in longer:
        first_row = len(context) + (context in at_context)
        for continuation in wanted[context]:
            if context in at_context:
                next_tokens.setdefault(context, set()).add(continuation[0])
            if len(continuation) > 1:
                prompt = context + continuation[:-1]
                rows_from[prompt] = min(first_row, rows_from.get(prompt, first_row))

    asks = [
        ask
        for prompt in sorted(next_tokens)
        for ask in _asks(prompt, next_tokens[prompt], rows_from.get(prompt, len(prompt)))
    ]
    return Plan(tuple(asks), frozenset(at_context))


def refused_rows(ask: Ask, cached: int) -> range:
    """Wanted rows that may not be believed: row `p` is made from the hidden state at `p - 1`, which was not computed
    where it lies in the cached prefix."""
    return range(ask.rows_from, max(ask.rows_from, min(cached + 1, len(ask.prompt))))


class Answers:
    """Collects replies of one unit and puts requests' answers together.

    Replies to the asks of a plan first (`take`); then `unanswered` says what must still be asked, each as a next token,
    and `take_again` keeps those replies; then `loglikelihood` answers each request.
    """

    def __init__(self, made: Plan) -> None:
        self._at_context = made.asked_at_context
        self._next: dict[Tokens, dict[int, Score]] = {}
        self._rows: dict[Tokens, dict[int, Score]] = {}
        self._prompts: list[Tokens] = []
        self._places: dict[Tokens, int] = {}
        self._asked_again_at: set[int] = set()

    def take(self, ask: Ask, reply: Reply) -> None:
        """Keeps what of a reply may be believed."""
        self._next.setdefault(ask.prompt, {}).update(reply.next_tokens)
        if ask.wants_rows:
            self._places[ask.prompt] = len(self._prompts)
            self._prompts.append(ask.prompt)
            believed = range(refused_rows(ask, reply.cached).stop, len(ask.prompt))
            self._rows[ask.prompt] = {row: reply.rows[row - ask.rows_from] for row in believed}

    def take_again(self, ask: Ask, reply: Reply) -> None:
        """Keeps the reply to one of `unanswered`: it goes before a row."""
        self._next.setdefault(ask.prompt, {}).update(reply.next_tokens)
        self._asked_again_at.add(len(ask.prompt))

    def unanswered(self, requests: Iterable[LoglikelihoodRequest]) -> tuple[Ask, ...]:
        """Rows that were refused and that no sibling scored; and ties that decide whether a continuation is greedy."""
        again: dict[Tokens, set[int]] = {}
        for request in requests:
            scores = self._scores(request)
            surely_not_greedy = any(score is not None and score.greedy is Greedy.NO for score in scores)
            for offset, score in enumerate(scores):
                if score is None or (score.greedy is Greedy.TIED and not surely_not_greedy):
                    prefix = request.context + request.continuation[:offset]
                    again.setdefault(prefix, set()).add(request.continuation[offset])
        return tuple(ask for prefix in sorted(again) for ask in _asks(prefix, again[prefix], len(prefix)))

    def loglikelihood(self, request: LoglikelihoodRequest) -> Loglikelihood:
        """The sum over the continuation. `LookupError` where something was not asked: a mistake of the caller."""
        scores = [score for score in self._scores(request) if score is not None]
        if len(scores) < len(request.continuation):
            raise LookupError(f"only {len(scores)} of {len(request.continuation)} tokens were scored")
        return Loglikelihood(
            logprob=_sum([score.logprob for score in scores]),
            greedy=all(score.greedy is Greedy.YES for score in scores),
        )

    def _scores(self, request: LoglikelihoodRequest) -> list[Score | None]:
        start = len(request.context)
        prompt = request.context + request.continuation[:-1]
        rows = self._rows.get(prompt, {})
        scores: list[Score | None] = []
        for offset, token in enumerate(request.continuation):
            row = start + offset
            asked_by_itself = (
                row == len(prompt)
                or row in self._asked_again_at
                or (offset == 0 and request.context in self._at_context)
            )
            score = self._next_token(prompt[:row], token) if asked_by_itself else None
            scores.append(score or rows.get(row) or self._of_a_sibling(prompt, row))
        return scores

    def _next_token(self, prefix: Tokens, token: int) -> Score | None:
        return self._next.get(prefix, {}).get(token)

    def _of_a_sibling(self, prompt: Tokens, row: int) -> Score | None:
        """The same row of a prompt that starts alike: those stand next to it, for prompts are submitted in order."""
        place = self._places.get(prompt)
        if place is None:
            return None
        for step in (-1, 1):
            neighbour = place + step
            while 0 <= neighbour < len(self._prompts):
                other = self._prompts[neighbour]
                if other[: row + 1] != prompt[: row + 1]:
                    break
                if row in self._rows[other]:
                    return self._rows[other][row]
                neighbour += step
        return None


def common_prefix(left: Tokens, right: Tokens) -> int:
    """How many tokens two sequences share at their start."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _worth_warming(contexts: set[Tokens], wanted: Mapping[Tokens, object], block_size: int) -> set[Tokens]:
    """Contexts with `WARM_BLOCKS` whole blocks that the one before does not share."""
    worth: set[Tokens] = set()
    before: Tokens = ()
    for context in sorted(wanted):
        shared = common_prefix(before, context) // block_size
        if context in contexts and len(context) // block_size - shared >= WARM_BLOCKS:
            worth.add(context)
        before = context
    return worth


def _asks(prompt: Tokens, next_tokens: Iterable[int], rows_from: int) -> list[Ask]:
    """One ask, or several where there are more next tokens than one may hold; the rows come with the first."""
    tokens = sorted(next_tokens)
    return [
        Ask(prompt, tuple(tokens[start : start + MAX_NEXT_TOKENS]), rows_from if start == 0 else len(prompt))
        for start in range(0, len(tokens), MAX_NEXT_TOKENS)
    ]


def _sum(logprobs: Sequence[float]) -> float:
    """Rounded once. A broken checkpoint has NaN and infinite ones, which `math.fsum` refuses to add."""
    return math.fsum(logprobs) if all(map(math.isfinite, logprobs)) else sum(logprobs)

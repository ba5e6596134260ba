"""Whatever the requests and whatever the cache holds: every answer is the one that a lone request would have got."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fineline_evaluator.backends.sharing import (
    MAX_NEXT_TOKENS,
    Answers,
    Ask,
    Greedy,
    Reply,
    Score,
    common_prefix,
    plan,
    refused_rows,
)
from fineline_evaluator.scoring import LoglikelihoodRequest

few = st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple)
requests_strategy = st.lists(st.builds(LoglikelihoodRequest, few, few), min_size=1, max_size=12)
GARBAGE = Score(12345.0, Greedy.YES)


class Oracle:
    """An engine that answers by a formula, and gives garbage for rows inside the cached prefix."""

    def __init__(self, block_size: int | None) -> None:
        self.block_size = block_size
        self.blocks: set[tuple[int, ...]] = set()
        self.computed = 0

    def reply(self, ask: Ask) -> Reply:
        cached = self.hit(ask.prompt)
        self.computed += len(ask.prompt) - cached
        rows = [
            GARBAGE if row <= cached else true_score(ask.prompt[:row], ask.prompt[row], ask_ties=True)
            for row in range(ask.rows_from, len(ask.prompt))
        ]
        return Reply({token: true_score(ask.prompt, token) for token in ask.next_tokens}, rows, cached)

    def hit(self, prompt: tuple[int, ...]) -> int:
        if self.block_size is None:
            return 0
        size, hit = self.block_size, 0
        while hit + size < len(prompt) and prompt[: hit + size] in self.blocks:
            hit += size
        self.blocks |= {prompt[:end] for end in range(size, len(prompt) + 1, size)}
        return hit


def true_score(prefix: tuple[int, ...], token: int, *, ask_ties: bool = False) -> Score:
    mixed = hash((prefix, token, "score")) % 1009
    greedy = (Greedy.NO, Greedy.YES, Greedy.YES)[mixed % 3]
    if ask_ties and mixed % 5 == 0:
        greedy = Greedy.TIED
    return Score(-mixed / 100, greedy)


def is_greedy(request: LoglikelihoodRequest) -> bool:
    places = range(len(request.continuation))
    return all(
        true_score(request.context + request.continuation[:place], request.continuation[place]).greedy is Greedy.YES
        for place in places
    )


@given(requests_strategy, st.sampled_from([None, 1, 2, 3, 4]))
def test_every_request_gets_the_answer_of_a_lone_request(
    requests: list[LoglikelihoodRequest], block_size: int | None
) -> None:
    engine = Oracle(block_size)
    made = plan(requests, block_size)
    answers = Answers(made)
    for ask in made.asks:
        answers.take(ask, engine.reply(ask))
    for ask in answers.unanswered(requests):
        answers.take_again(ask, engine.reply(ask))
    for request in requests:
        answer = answers.loglikelihood(request)
        places = range(len(request.continuation))
        expected = math.fsum(
            true_score(request.context + request.continuation[:place], request.continuation[place]).logprob
            for place in places
        )
        assert answer.logprob == expected
        if all(
            true_score(
                request.context + request.continuation[:place], request.continuation[place], ask_ties=True
            ).greedy
            is not Greedy.TIED
            for place in places
        ):
            assert answer.greedy == is_greedy(request)


@given(requests_strategy, st.sampled_from([None, 2, 4]), st.randoms())
def test_the_order_of_the_requests_changes_nothing(
    requests: list[LoglikelihoodRequest], block_size: int | None, dice: object
) -> None:
    shuffled = list(requests)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan(shuffled, block_size) == plan(requests, block_size)


@given(requests_strategy)
def test_no_prompt_holds_a_last_token(requests: list[LoglikelihoodRequest]) -> None:
    longest = max(len(request.context) + len(request.continuation) - 1 for request in requests)
    assert max(len(ask.prompt) for ask in plan(requests, 4).asks) == longest


def test_choices_that_differ_in_the_last_token_alone_are_one_request() -> None:
    requests = [LoglikelihoodRequest((1, 2, 3), (7, token)) for token in (4, 5, 6, 5)]
    assert plan(requests, 32).asks == (Ask((1, 2, 3, 7), (4, 5, 6), 3),)


def test_more_last_tokens_than_a_request_may_hold_become_several() -> None:
    asks = plan([LoglikelihoodRequest((1,), (token,)) for token in range(300)], 32).asks
    assert [len(ask.next_tokens) for ask in asks] == [MAX_NEXT_TOKENS, MAX_NEXT_TOKENS, 300 - 2 * MAX_NEXT_TOKENS]


def test_a_long_context_goes_first_by_itself_and_spares_its_rows() -> None:
    context = tuple(range(200))
    asks = plan([LoglikelihoodRequest(context, (choice, 5, 6)) for choice in (1, 2)], 32).asks
    assert asks[0] == Ask(context, (1, 2), 200)
    assert [ask.rows_from for ask in asks[1:]] == [201, 201]


def test_a_context_whose_start_was_just_computed_is_not_sent_by_itself() -> None:
    shots = tuple(range(200))
    requests = [LoglikelihoodRequest((*shots, document), (4, 5, 6)) for document in range(3)]
    assert [len(ask.prompt) for ask in plan(requests, 32).asks] == [201, 203, 203, 203]


def test_rows_inside_the_cached_prefix_are_refused() -> None:
    ask = Ask(tuple(range(40)), (1,), 32)
    assert list(refused_rows(ask, cached=32)) == [32]
    assert list(refused_rows(ask, cached=31)) == []
    assert list(refused_rows(ask, cached=0)) == []


def test_a_computed_prefix_is_computed_once() -> None:
    shots = tuple(range(100, 164))
    requests = [LoglikelihoodRequest((*shots, document, 7), (1,)) for document in range(50)]
    engine = Oracle(16)
    for ask in plan(requests, 16).asks:
        engine.reply(ask)
    assert engine.computed == 64 + 50 * 2


@given(few, few)
def test_common_prefix_is_the_longest(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    shared = common_prefix(left, right)
    assert left[:shared] == right[:shared]
    assert left[: shared + 1] != right[: shared + 1] or shared == min(len(left), len(right))


def test_an_answer_that_was_never_asked_is_a_mistake() -> None:
    answers = Answers(plan([], 32))
    with pytest.raises(LookupError, match="0 of 2 tokens"):
        answers.loglikelihood(LoglikelihoodRequest((1,), (2, 3)))


def test_not_a_number_is_an_answer() -> None:
    requests = [LoglikelihoodRequest((1,), (2,))]
    answers = Answers(plan(requests, 32))
    answers.take(Ask((1,), (2,), 1), Reply({2: Score(math.nan, Greedy.NO)}, [], 0))
    assert math.isnan(answers.loglikelihood(requests[0]).logprob)

"""How far checkpoints are, told by the units that a plan would have, and at the cost of what may have changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fineline.checkpoints import find, own_tokenizer, tokenizer_digest
from fineline.errors import SpecError, StoreError
from fineline.plan import UnitRecipe, make_plan, read_recipe
from fineline.plan.observing import find_options
from fineline.resources import CheckpointEval, CheckpointSourceSpec, validated
from fineline.results import UnitAddress
from fineline.sources.batches import evaluation_body
from fineline.sources.deciding import NewEvaluation
from fineline.sources.listing import Walked
from fineline.sources.progress import MemberProgress, Progress
from fineline.store import open_store
from fineline.store.directory import DirectoryStore
from fineline.store.interface import StoredObject
from support.evaluations import listed_checkpoint
from support.slices import CONFIG_MAP, make_mirror, suite_files
from support.sources import SOURCE, source_spec

EVALUATED, FAILED, OPEN = MemberProgress.EVALUATED, MemberProgress.FAILED, MemberProgress.OPEN
TASKS = ("piqa", "siqa")


class Results(DirectoryStore):
    """A directory that fails when told to."""

    broken = False

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        if self.broken:
            raise StoreError("the store does not answer")
        return super().list(prefix)


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    for step in (10, 20, 30):
        listed_checkpoint(tmp_path / "checkpoints" / f"step{step}")
    return tmp_path / "checkpoints"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def spec_of(folder: Path, /, **spec: Any) -> CheckpointSourceSpec:
    tasks = [{"task": task, "domain": "reasoning"} for task in TASKS]
    template = {"run": {"name": "tiny"}, "suite": {"tasks": tasks}}
    return source_spec(**{"uri": f"file://{folder}/", "template": template} | spec)


def recipe_of(spec: CheckpointSourceSpec, **arguments: Any) -> UnitRecipe:
    return read_recipe(spec.template, spec.checkpoints, **arguments)


def listing_of(checkpoints: Path, spec: CheckpointSourceSpec | None = None) -> list[Walked]:
    spec = spec or spec_of(checkpoints)
    options = find_options(spec.template.run, spec.checkpoints)
    found = find(open_store(f"file://{checkpoints}/"), options).checkpoints
    return [
        Walked(
            folder=item.folder,
            position=item.position,
            digest=item.digest,
            tokenizer_digest=tokenizer_digest(own_tokenizer(item)),
            changed=max(one.modified for one in item.inventory),
            problem=item.problem,
        )
        for item in found
    ]


def units_of(recipe: UnitRecipe, item: Walked) -> tuple[UnitAddress, ...]:
    return recipe.addresses(item.position.branch, item.position.step, item.digest, item.tokenizer_digest)


def commit(results: Results, *units: UnitAddress) -> None:
    for unit in units:
        results.put(unit.metrics, b"")


def fail(results: Results, *units: UnitAddress) -> None:
    for unit in units:
        results.put(unit.failed, b"{}")


def test_the_units_are_those_of_the_plan_of_the_checkpoint_eval(checkpoints: Path, tmp_path: Path) -> None:
    """With files elsewhere, tasks of one's own and a mirror too: else what is evaluated would be evaluated again."""
    mirror = f"file://{make_mirror(tmp_path / 'mirror')}/"
    listed_checkpoint(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/tokenizer.json").write_text('{"another": 1}')
    elsewhere = f"file://{tmp_path}/elsewhere/"
    own: dict[str, Any] = {"run": {"name": "tiny"}, "suite": {"configMap": CONFIG_MAP, "datasets": mirror}}
    engine = {"backend": "transformers", "dtype": "float32", "maxModelLen": 64, "addBos": True, "args": {"threads": 1}}
    specs = [
        spec_of(checkpoints),
        spec_of(checkpoints, checkpoints={"tokenizer": elsewhere}),
        spec_of(checkpoints, checkpoints={"config": f"{elsewhere}config.json"}),
        spec_of(checkpoints, checkpoints={"tokenizer": elsewhere, "config": f"{elsewhere}config.json"}),
        spec_of(checkpoints, template=own),
        spec_of(checkpoints, template=own | {"engine": engine}),
    ]
    seen = set()
    for spec in specs:
        files = suite_files() if spec.template.suite.config_map is not None else None
        walked = listing_of(checkpoints, spec)
        recipe = recipe_of(spec, suite_files=files)
        body = evaluation_body(SOURCE, spec, "t", NewEvaluation("made", tuple(walked)))
        plan = make_plan(validated(CheckpointEval, body, "made"), results_uri=f"file://{tmp_path}/", suite_files=files)
        assert plan.put_aside == ()
        assert sorted(unit for item in walked for unit in units_of(recipe, item)) == list(plan.addresses)
        seen.add(recipe.digest)
    assert len(seen) == len(specs)


def test_what_lies_elsewhere_and_is_not_there_is_an_error_that_names_the_field(checkpoints: Path) -> None:
    spec = spec_of(checkpoints, checkpoints={"tokenizer": f"file://{checkpoints}/nothing/"})
    with pytest.raises(SpecError, match=r"spec\.checkpoints\.tokenizer"):
        recipe_of(spec)


def test_a_checkpoint_is_evaluated_once_all_of_its_units_have_results(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    first, second, third = (units_of(recipe, item) for item in walked)
    commit(results, *first)
    commit(results, second[0])
    fail(results, second[1])
    fail(results, third[0])
    progress = Progress().of(results, recipe, walked)
    assert [progress[item.member] for item in walked] == [EVALUATED, FAILED, OPEN]


def test_a_commit_outweighs_a_failure_and_other_keys_say_nothing(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    units = units_of(recipe, walked[0])
    commit(results, *units)
    fail(results, *units)
    commit(results, *(UnitAddress("tiny", "main", 20, task, "0" * 16) for task in TASKS))
    progress = Progress().of(results, recipe, walked)
    assert [progress[item.member] for item in walked] == [EVALUATED, OPEN, OPEN]


def test_what_is_evaluated_is_not_listed_again_and_what_is_open_when_asked(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    commit(results, *units_of(recipe, walked[0]))
    fail(results, *units_of(recipe, walked[1]))
    progress = Progress()
    progress.of(results, recipe, walked)
    requests = results.list_requests
    again = progress.of(results, recipe, walked)
    assert results.list_requests == requests
    assert [again[item.member] for item in walked] == [EVALUATED, FAILED, OPEN]
    commit(results, *(unit for item in walked for unit in units_of(recipe, item)))
    assert progress.of(results, recipe, walked, [walked[0].member])[walked[2].member] is OPEN
    assert results.list_requests == requests
    asked = progress.of(results, recipe, walked, [walked[1].member, walked[2].member])
    assert [asked[item.member] for item in walked] == [EVALUATED, EVALUATED, EVALUATED]
    assert results.list_requests == requests + 1


def test_one_that_was_asked_for_is_listed_once_more(checkpoints: Path, results: Results) -> None:
    """Its CheckpointEval ended between two looks: the later one does not ask for it any more."""
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    progress = Progress()
    assert progress.of(results, recipe, walked, [walked[0].member])[walked[0].member] is OPEN
    commit(results, *units_of(recipe, walked[0]))
    assert progress.of(results, recipe, walked)[walked[0].member] is EVALUATED


def test_one_that_is_deleted_while_it_runs_is_followed_to_its_end(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    progress = Progress()
    progress.of(results, recipe, walked)
    commit(results, *units_of(recipe, walked[0]))
    gone = walked[0].member
    assert progress.of(results, recipe, walked[1:], [gone])[gone] is EVALUATED
    assert gone not in progress.of(results, recipe, walked[1:])


def test_incomplete_ones_are_not_listed(checkpoints: Path, results: Results) -> None:
    recipe = recipe_of(spec_of(checkpoints))
    for path in checkpoints.rglob("config.json"):
        path.unlink()
    assert Progress().of(results, recipe, listing_of(checkpoints)) == {}
    assert results.list_requests == 0


def test_a_store_that_fails_takes_away_nothing_that_was_known(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    commit(results, *units_of(recipe, walked[0]))
    progress = Progress()
    progress.of(results, recipe, walked[:1])
    results.broken = True
    with pytest.raises(StoreError, match="does not answer"):
        progress.of(results, recipe, walked)
    assert progress.of(results, recipe, walked[:1])[walked[0].member] is EVALUATED


def test_other_bytes_and_another_tokenizer_are_looked_for_anew(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    commit(results, *(unit for item in walked for unit in units_of(recipe, item)))
    progress = Progress()
    progress.of(results, recipe, walked)
    (checkpoints / "step10/config.json").write_text('{"vocab_size": 9}')
    (checkpoints / "step20/tokenizer.json").write_text('{"another": 1}')
    changed = listing_of(checkpoints)
    now = progress.of(results, recipe, changed)
    assert [now[item.member] for item in changed] == [OPEN, OPEN, EVALUATED]
    assert now[walked[0].member] is EVALUATED
    assert changed[1].member == walked[1].member


def test_another_suite_or_place_for_results_forgets_all(checkpoints: Path, results: Results, tmp_path: Path) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    commit(results, *(unit for item in walked for unit in units_of(recipe, item)))
    progress = Progress()
    assert set(progress.of(results, recipe, walked).values()) == {EVALUATED}
    template = {"run": {"name": "tiny"}, "suite": {"tasks": [{"task": "mmlu", "domain": "exam"}]}}
    other = recipe_of(spec_of(checkpoints, template=template))
    assert set(progress.of(results, other, walked).values()) == {OPEN}
    assert set(progress.of(results, recipe, walked).values()) == {EVALUATED}
    assert set(progress.of(Results(tmp_path / "other"), recipe, walked).values()) == {OPEN}


def test_nothing_is_remembered_of_positions_that_are_gone(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    progress = Progress()
    progress.of(results, recipe, walked)
    assert set(progress.of(results, recipe, walked[:1])) == {walked[0].member}


def test_few_new_ones_among_many_results_cost_one_request_each(checkpoints: Path, results: Results) -> None:
    recipe, walked = recipe_of(spec_of(checkpoints)), listing_of(checkpoints)
    for step in range(11, 20):
        commit(results, *(UnitAddress("tiny", "main", step, f"task-{n}", "0" * 16) for n in range(5)))
    Progress().of(results, recipe, walked[:1])
    assert results.list_requests == 1

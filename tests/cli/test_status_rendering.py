"""How evaluations on a cluster are drawn: wide and narrow, many, with hostile names, from a status of any version."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from fineline_cli.reported import Reported, lenient_status, reported, reported_row
from fineline_cli.status_details import details_drawn
from fineline_cli.status_tables import age, line, list_drawn
from support.evaluations import evaluation_values
from support.reports import condition, failed, running, stalled, succeeded

NOW = datetime(2026, 1, 1, 13, 0, tzinfo=UTC)


def body(
    name: str = "amber-7b", status: dict[str, Any] | None = None, *, retry: str | None = None, **spec: Any
) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "evals", "uid": f"uid-{name}", "creationTimestamp": "2026-01-01T11:30:00Z"}
    annotations = {"annotations": {"fineline.dev/retry": retry}} if retry else {}
    return evaluation_values(**spec) | {"metadata": metadata | annotations} | ({"status": status} if status else {})


def one(name: str = "amber-7b", status: dict[str, Any] | None = None, **more: Any) -> Reported:
    return reported(body(name, status, **more))


def on_terminal(drawn: RenderableType, width: int) -> list[str]:
    """Its lines, as a terminal of that width shows them, without colours."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get().splitlines()


def listed(*evaluations: Reported, width: int | None = 120, height: int | None = None) -> list[str]:
    drawn = list_drawn(evaluations, NOW, namespaces=False, width=width, height=height)
    return on_terminal(drawn, width or 200)


def test_a_wide_terminal_shows_every_column_and_a_bar() -> None:
    header, row = listed(one(status=running()))
    assert header.split() == ["Name", "Run", "Checkpoints", "Progress", "Succeeded", "Reason", "Age"]
    assert "━" in row
    assert row.replace("━", "").replace("╺", "").replace("╸", "").split() == [
        "amber-7b", "tiny", "36", "290/384", "Unknown", "Running", "90m",
    ]  # fmt: skip


def test_a_log_has_no_bar() -> None:
    assert "━" not in "".join(listed(one(status=running()), width=None))


@pytest.mark.parametrize("width", [80, 60, 40])
def test_a_narrow_terminal_keeps_name_progress_and_outcome(width: int) -> None:
    lines = listed(one("amber-7b", running()), one("llama-13b", succeeded(1000)), width=width)
    assert all(cell_len(text) <= width for text in lines)
    assert len(lines) == 3
    assert ["290/384" in lines[1], "Unknown" in lines[1], "1000/1000" in lines[2], "True" in lines[2]] == [True] * 4


@pytest.mark.parametrize("width", [40, 80])
def test_details_fit_a_narrow_terminal(width: int) -> None:
    failure = {"checkpoint": "step000000012000", "reason": "TensorMissing", "message": "lm_head.weight is missing " * 9}
    status = running(failures=[failure], results="s3://evals/results/units/run=amber-7b/", jobName="amber-7b-3f9c2a10")
    lines = on_terminal(details_drawn(one(status=status), NOW, width=width), width)
    assert all(cell_len(text) <= width for text in lines)
    assert "step000000012000" in "\n".join(lines)
    assert "amber-7b-3f9c2a10" in "\n".join(lines)


def test_details_say_what_is_done_what_failed_and_where_it_is() -> None:
    failures = [
        {"checkpoint": f"step{index}", "task": "piqa", "reason": "TaskFailed", "message": "no"} for index in range(20)
    ]
    status = failed(
        30, results="s3://evals/run=tiny/", jobName="tiny-1", failures=failures,
        startTime="2026-01-01T12:00:00Z", completionTime="2026-01-01T12:30:00Z",
    )  # fmt: skip
    text = "\n".join(on_terminal(details_drawn(one(status=status, queueName="research"), NOW, width=120), 120))
    for part in (
        "evals/amber-7b: run tiny, queue research",
        "384/384: 354 published, 30 failed",
        "36 checkpoints, 504 units, 120 of them already had a result; 4 slices",
        "tiny-1",
        "s3://evals/run=tiny/",
        "Took      30m",
        "SomeUnitsFailed: some units failed",
        "step19",
        "These are the first; all are among the results",
        "To try again what failed, once it is mended: fineline retry amber-7b -n evals",
    ):
        assert part in text


def test_what_a_person_must_mend_stands_below_the_table() -> None:
    lines = listed(one("a", running()), one("b", failed(message="mend it")), one("c", stalled(message="ask for it")))
    assert lines[-3:] == ["Needs a person:", "  b: SomeUnitsFailed: mend it", "  c: StoreNotAllowed: ask for it"]


def test_of_many_that_need_a_person_the_first_are_told() -> None:
    lines = listed(*(one(f"e{index:02}", failed()) for index in range(15)))
    assert lines[-1] == "  and 5 more; `fineline status NAME` tells of each"


def test_one_that_no_operator_looks_at_is_told_after_a_minute() -> None:
    assert "No operator has looked at amber-7b: does it run, and does it watch evals?" in listed(one())
    young = list_drawn([one()], datetime(2026, 1, 1, 11, 30, 30, tzinfo=UTC), namespaces=False, width=120)
    assert len(on_terminal(young, 120)) == 2


def test_a_full_terminal_leaves_out_what_is_finished_first() -> None:
    many = [one(f"e{index:03}", succeeded() if index % 10 else running()) for index in range(100)]
    lines = listed(*many, height=16)
    assert len(lines) <= 16
    shown = [text.split()[0] for text in lines[1:-1]]
    assert [name for name in shown if name.endswith("0")] == [f"e{index:03}" for index in range(0, 100, 10)]
    assert lines[-1] == f"and {100 - len(shown)} more; in all 90 succeeded, 10 unfinished"


@pytest.mark.parametrize("text", ["\x1b[31mred", "\u202etxt", "[bold]x[/bold]", "模型\n第二", "e\u0301"])
def test_hostile_text_is_shown_as_text(text: str) -> None:
    status = running(failures=[{"checkpoint": text, "task": text, "reason": "R", "message": text}], jobName=text)
    status["conditions"][1]["message"] = text
    evaluation = one(status=status)
    drawn = "\n".join(on_terminal(details_drawn(evaluation, NOW, width=120), 120))
    shown = "".join(char if char.isprintable() else "\ufffd" for char in text)
    assert drawn.count(shown) >= 4
    assert "\x1b[31m" not in drawn + line(evaluation)
    assert "\n" not in line(evaluation)
    assert reported_row(evaluation)["failures"][0]["checkpoint"] == text


def test_wide_characters_keep_the_columns_apart() -> None:
    first, second = listed(one("a", running(), run={"name": "模型模型"}), one("b", running()))[1:]
    assert cell_len(first.partition("290/384")[0]) == cell_len(second.partition("290/384")[0])


def test_no_work_at_all_is_all_done() -> None:
    assert "━" * 10 in "".join(listed(one(status=succeeded(0))))


def test_what_a_newer_operator_wrote_otherwise_is_left_out_and_the_rest_is_read() -> None:
    status = running(newField={"a": 1}, startTime="soon")
    status["conditions"].append({"type": "Novel", "status": "Perhaps"})
    status["plan"] = {"units": "many"}
    read = lenient_status(status)
    assert [each.type for each in read.conditions] == ["Planned", "Succeeded", "Stalled"]
    assert read.progress is not None
    assert (read.plan, read.start_time) == (None, None)


@pytest.mark.parametrize("status", [None, [], "text", {"conditions": None}, {"conditions": [None] * 100}])
def test_a_status_that_is_none_is_an_empty_one(status: object) -> None:
    assert lenient_status(status).conditions == ()


def test_more_conditions_than_are_known_are_read_as_far_as_they_go() -> None:
    many = [condition("Succeeded", "True", "Fine"), *(condition(f"C{index}", "True", "Fine") for index in range(30))]
    assert lenient_status({"conditions": many}).finished


def test_one_that_is_to_be_tried_again_is_not_finished() -> None:
    assert one(status=failed()).finished
    assert one(status=failed(retry="1"), retry="1").finished
    asked = one(status=failed(), retry="1")
    assert (asked.finished, asked.retry_pending, asked.to_mend) == (False, True, None)
    assert "RetryAsked" in listed(asked)[1]


def test_an_annotation_on_one_that_is_stalled_does_not_hide_that() -> None:
    asked = one(status=stalled(), retry="1")
    assert (asked.retry_pending, asked.to_mend is not None) == (False, True)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=119), "119s"),
        (timedelta(seconds=120), "2m"),
        (timedelta(minutes=5, seconds=30), "5m30s"),
        (timedelta(minutes=10, seconds=59), "10m"),
        (timedelta(hours=3), "3h"),
        (timedelta(hours=7, minutes=59), "7h59m"),
        (timedelta(hours=20), "20h"),
        (timedelta(days=7, hours=10), "7d10h"),
        (timedelta(days=400), "400d"),
    ],
)
def test_an_age_reads_as_in_kubectl(span: timedelta, text: str) -> None:
    assert age(span.total_seconds()) == text

"""The report in a real Chromium: drawn whole, from the tables' values, without a request, whatever the names are."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import Browser

from fineline_analysis.analyse import Analysis, analyse
from fineline_analysis.report import render, write_images
from fineline_analysis.settings import Settings
from support.browser import Opened, chromium, opened
from support.trajectories import Law, simulated

QUICK = Settings(draws=60, backtest_draws=20)
LAWS = {
    "reasoning": {"piqa": Law(0.8, 0.15, 0.4), "arc": Law(0.6, 0.1, 0.3)},
    "language": {"lambada": Law(0.7, 0.2, 0.5)},
}
PLOTS = {"domains", "tasks-0", "tasks-1", "order", "laws", "returns", "forecasts", "verdicts"}
HOSTILE = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> </script>\"'&{{7*7}} \N{SNOWMAN}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def two_runs() -> Analysis:
    return analyse(pl.concat([simulated(LAWS), simulated(LAWS, run="run-b", seed=1, parameters=10**8)]), QUICK)


@pytest.fixture(scope="module")
def page(browser: Browser, two_runs: Analysis, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened(browser, render(two_runs), tmp_path_factory.mktemp("report"))


def drawn(found: Opened) -> set[str]:
    return set(found.page.eval_on_selector_all("figure[data-drawn=true]", "all => all.map(f => f.dataset.plot)"))


def marks(found: Opened, plot: str) -> list[str]:
    """The accessible labels of a plot's marks, which carry its values."""
    labels: list[str] = found.page.eval_on_selector_all(
        f"figure[data-plot='{plot}'] svg [aria-roledescription]",
        "all => all.map(m => m.getAttribute('aria-label') || '')",
    )
    return labels


def values(found: Opened, plot: str, dataset: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = found.page.evaluate(f"() => fineline.views['{plot}'].data('{dataset}')")
    return rows


def test_every_plot_is_drawn_without_an_error_or_a_request(page: Opened) -> None:
    assert drawn(page) == PLOTS
    assert page.said == []
    assert page.requests == []
    assert page.page.evaluate("fineline.errors") == []


def test_plots_show_the_values_of_the_tables(page: Opened, two_runs: Analysis) -> None:
    gains = two_runs.tables["returns"].filter(pl.col("level") == "domain")
    shown = {
        (row["series"], row["domain"]): row for row in values(page, "returns", "returns") if row["level"] == "domain"
    }
    for row in gains.iter_rows(named=True):
        assert shown[row["series"], row["domain"]]["next_gain"] == pytest.approx(row["next_gain"], rel=1e-4)
    assert len([label for label in marks(page, "returns") if "next doubling" in label]) >= gains.height


def test_the_marks_stand_where_the_values_say(page: Opened, two_runs: Analysis) -> None:
    overall = two_runs.tables["returns"].filter(pl.col("level") == "overall").sort("next_gain")
    scale = "() => [0, 1].map(v => fineline.views['verdicts'].scale('x')(v))"
    zero, one = page.page.evaluate(scale)
    # The band scale centres a mark; its first two numbers are x and y.
    transforms = page.page.eval_on_selector_all(
        "figure[data-plot='verdicts'] g.mark-symbol.role-mark path[fill]:not([fill='transparent'])",
        "all => all.map(p => p.getAttribute('transform'))",
    )
    places = sorted(float(text.removeprefix("translate(").split(",")[0]) for text in transforms)
    expected = [zero + 100 * gain * (one - zero) for gain in overall["next_gain"]]
    assert all(any(abs(place - want) < 1 for place in places) for want in expected)


def test_the_tables_of_the_page_say_the_same(page: Opened, two_runs: Analysis) -> None:
    text = page.page.inner_text("#forecasts table")
    newest = two_runs.tables["forecasts"].filter(pl.col("level") == "domain")
    for row in newest.iter_rows(named=True):
        assert f"{100 * row['forecast']:.1f}" in text


def test_each_run_has_a_card_with_verdict_facts_and_next_step(page: Opened, two_runs: Analysis) -> None:
    cards = page.page.eval_on_selector_all(".card", "all => all.map(card => card.innerText)")
    assert len(cards) == 2
    for verdict in two_runs.verdicts:
        card = next(card for card in cards if verdict.series in card)
        assert verdict.state in card
        assert all(fact in card for fact in (*verdict.facts, verdict.next_step))


def test_a_section_has_a_sentence_and_says_how_it_was_computed(page: Opened) -> None:
    sections = page.page.eval_on_selector_all(
        "main section.panel",
        "all => all.map(s => [s.querySelector('.sentence').innerText, s.querySelectorAll('details.more p').length])",
    )
    assert len(sections) == 8
    assert all(sentence and methods for sentence, methods in sections)


def test_the_legend_filters(page: Opened) -> None:
    before = page.page.inner_html("figure[data-plot='domains'] svg")
    page.page.locator("figure[data-plot='domains'] svg .role-legend-symbol path").first.click(force=True)
    page.page.wait_for_timeout(200)
    assert page.page.inner_html("figure[data-plot='domains'] svg") != before


def test_a_table_is_downloaded_as_csv_with_all_rows(page: Opened, two_runs: Analysis) -> None:
    with page.page.expect_download() as download:
        page.page.click("button[data-table=returns]")
    with Path(download.value.path()).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == two_runs.tables["returns"].height
    assert float(rows[0]["next_gain"]) == pytest.approx(two_runs.tables["returns"]["next_gain"][0], rel=1e-4)


def test_regions_plots_and_controls_can_be_reached_and_are_named(page: Opened) -> None:
    assert page.page.locator("main").count() == page.page.locator("nav[aria-label]").count() == 1
    assert page.page.locator("figure[aria-label]").count() == len(PLOTS)
    unnamed = page.page.eval_on_selector_all(
        "main section",
        "all => all.filter(s => !s.getAttribute('aria-label') && !s.getAttribute('aria-labelledby')).length",
    )
    assert unnamed == 0
    page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement !== document.body")


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1280), ("light", 390)])
def test_it_fits_dark_screens_and_narrow_ones(
    browser: Browser, two_runs: Analysis, tmp_path: Path, scheme: str, width: int
) -> None:
    found = opened(browser, render(two_runs), tmp_path, scheme=scheme, width=width)
    assert drawn(found) == PLOTS
    assert found.said == []
    assert found.page.evaluate("document.documentElement.scrollWidth") <= width
    background = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(15, 18, 23)") == (scheme == "dark")


def test_a_change_to_dark_redraws_the_plots(browser: Browser, two_runs: Analysis, tmp_path: Path) -> None:
    found = opened(browser, render(two_runs), tmp_path)
    light = found.page.inner_html("figure[data-plot='verdicts'] svg")
    found.page.emulate_media(color_scheme="dark")
    found.page.wait_for_timeout(1500)
    assert found.page.inner_html("figure[data-plot='verdicts'] svg") != light


def test_names_from_results_are_only_ever_text(browser: Browser, tmp_path: Path) -> None:
    laws = {
        f"domain {HOSTILE}": {f"task {HOSTILE}": Law(0.8, 0.2, 0.4)},
        "=cmd()": {"datum.x'] || alert(1)": Law(0.7, 0.2, 0.3)},
    }
    frame = pl.concat([simulated(laws, run=f"run {HOSTILE}"), simulated(laws, run="plain")])
    found = opened(browser, render(analyse(frame, QUICK)), tmp_path)
    assert found.said == []
    assert found.requests == []
    assert found.page.evaluate("window.hacked") is None
    assert found.page.locator(".card h2").first.inner_text() in (f"run {HOSTILE}", "plain")
    assert drawn(found) == PLOTS


def test_the_page_itself_forbids_requests_and_foreign_scripts(two_runs: Analysis) -> None:
    html = render(two_runs)
    policy = html.split('http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    assert "default-src &#39;none&#39;" in policy
    script_source = policy.split("script-src")[1].split(";")[0]
    assert "unsafe" not in script_source


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame.filter(pl.col("step") == frame["step"].max()),
        lambda frame: frame.filter(pl.col("task") != "arc"),
        lambda frame: frame.with_columns(tokens=pl.lit(None, pl.Int64)),
        lambda frame: frame.with_columns(value=pl.lit(float("nan"))),
        lambda frame: frame.with_columns(stderr=pl.lit(None, pl.Float64), chance=pl.lit(None, pl.Float64)),
    ],
    ids=["one checkpoint", "two tasks", "no tokens", "only NaN", "no stderr and chance"],
)
def test_odd_data_make_a_page_that_opens(browser: Browser, tmp_path: Path, change: object) -> None:
    found = opened(browser, render(analyse(change(simulated(LAWS)), QUICK)), tmp_path)  # type: ignore[operator]
    assert found.said == []
    assert found.page.evaluate("fineline.errors") == []
    assert drawn(found) == set(
        found.page.eval_on_selector_all("figure[data-plot]", "all => all.map(f => f.dataset.plot)")
    )


def test_ten_runs_of_200_checkpoints_stay_under_5_megabytes() -> None:
    laws = {f"domain-{d}": {f"task-{d}-{i}": Law(0.7, 0.1, 0.3) for i in range(4)} for d in range(5)}
    frame = pl.concat([simulated(laws, run=f"run-{i}", points=200, seed=i) for i in range(10)])
    assert len(render(analyse(frame, Settings(draws=20, backtest_draws=4))).encode()) < 5_000_000


def test_the_same_analysis_gives_the_same_page(two_runs: Analysis) -> None:
    assert render(two_runs) == render(two_runs)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_plots_are_written_as_images(two_runs: Analysis, tmp_path: Path, kind: str) -> None:
    paths = write_images(two_runs, tmp_path, kind)
    assert {path.stem for path in paths} == PLOTS
    start = b"\x89PNG" if kind == "png" else b"<svg"
    assert all(path.read_bytes().startswith(start) for path in paths)

"""`fineline-analysis`: from the results of a store to tables, report and manifest, the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.ipc
import pytest
from polars.testing import assert_frame_equal

from fineline.errors import ResultError, SpecError
from fineline.results import read_metrics
from fineline.results.arrow import to_file
from fineline.results.layout import UnitAddress
from fineline.results.schemas import METRICS
from fineline.store import open_store
from fineline_analysis.act import analyse_store, read
from fineline_analysis.analyse import analyse
from fineline_analysis.main import main
from support.trajectories import Law, simulated

LAWS = {"reasoning": {"piqa": Law(0.8, 0.15, 0.4)}, "language": {"lambada": Law(0.7, 0.2, 0.5)}}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two runs of eight checkpoints and two tasks."""
    folder = tmp_path_factory.mktemp("results")
    store = open_store(folder.as_uri())
    frame = pl.concat([simulated(LAWS, points=8), simulated(LAWS, run="run-b", points=8, seed=1)])
    for (run, step, task), unit in frame.group_by("run", "step", "task"):
        table = unit.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(METRICS)
        store.put(UnitAddress(str(run), "main", int(str(step)), str(task), "0" * 16).metrics, to_file(table))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_tables_report_and_manifest_lie_in_the_folder(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--results", str(results), "--output", str(tmp_path / "out")]) == 0
    files = contents(tmp_path / "out")
    assert {"report.html", "manifest.json", "verdicts.arrow", "trajectories.arrow", "laws.arrow"} <= set(files)
    assert {one["run"] for one in json.loads(files["manifest.json"])["verdicts"]} == {"run-a", "run-b"}
    assert pl.read_ipc(tmp_path / "out" / "verdicts.arrow")["series"].to_list() == ["run-a", "run-b"]
    assert capsys.readouterr().out.endswith("report.html\n")


def test_a_second_analysis_makes_the_same_bytes(results: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["--results", str(results), "--output", str(tmp_path / name)]) == 0
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_tables_are_compressed_arrow_files_that_say_which_table_they_are(results: Path, tmp_path: Path) -> None:
    main(["--results", str(results), "--output", str(tmp_path)])
    with pa.ipc.open_file(tmp_path / "laws.arrow") as reader:
        assert reader.schema.metadata == {b"fineline.table": b"laws", b"fineline.tables_version": b"1"}
        assert reader.schema.field("task").type == pa.large_string()


def test_with_a_name_it_is_laid_out_as_results_are(results: Path, tmp_path: Path) -> None:
    assert main(["--results", str(results), "--output", str(tmp_path), "--name", "weekly"]) == 0
    latest = json.loads((tmp_path / "analyses/weekly/latest.json").read_text())
    assert (tmp_path / latest["report"]).is_file()
    assert latest["folder"] == f"analyses/weekly/{latest['digest']}/"
    assert len(latest["digest"]) == 16


def test_one_run_is_analysed_alone_and_forecast_to_its_horizon(results: Path, tmp_path: Path) -> None:
    arguments = ["--results", str(results), "--output", str(tmp_path), "--run", "run-b", "--horizon", "run-b=1e12"]
    assert main(arguments) == 0
    forecasts = pl.read_ipc(tmp_path / "forecasts.arrow")
    assert set(forecasts["run"]) == {"run-b"}
    assert set(forecasts["horizon"]) == {1e12}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--run", "nobody"], 2, "there are no results of nobody"),
        (["--horizon", "run-a"], 2, "is not RUN=TOKENS"),
        (["--horizon", "run-a=-3"], 2, "is not RUN=TOKENS"),
        (["--horizon", "run-a=nan"], 2, "is not RUN=TOKENS"),
    ],
)
def test_what_can_not_be_meant_is_one_line_and_a_code(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    assert main(["--results", str(results), "--output", str(tmp_path), *arguments]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_an_empty_store_has_nothing_to_analyse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["--results", str(tmp_path / "empty"), "--output", str(tmp_path / "out")]) == 2
    assert "there are no results" in capsys.readouterr().err


def test_a_torn_file_among_the_results_is_named_and_the_rest_analysed(results: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    torn = next(copy.rglob("task=piqa/*/metrics.arrow"))
    torn.write_bytes(torn.read_bytes()[:40])
    assert main(["--results", str(copy), "--output", str(tmp_path / "out")]) == 0
    notices = pl.read_ipc(tmp_path / "out" / "notices.arrow")
    assert any("task=piqa" in message for message in notices.filter(pl.col("code") == "Reading")["message"])


def test_an_output_that_can_not_be_written_is_an_error(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--results", str(results), "--output", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("fineline-analysis: ")


def test_an_analysis_is_read_back_from_its_folder(results: Path, tmp_path: Path) -> None:
    written = analyse_store(str(results), tmp_path / "out")
    found = read(tmp_path / "out")
    assert found.verdicts == written.verdicts
    assert found.settings == written.settings
    assert found.notices == written.notices
    assert {name: frame.equals(found.tables[name]) for name, frame in written.tables.items()} == dict.fromkeys(
        written.tables, True
    )
    assert found.report == written.report


def test_a_folder_without_an_analysis_and_a_broken_table_are_told_by_name(results: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="holds no analysis"):
        read(tmp_path)
    analyse_store(str(results), tmp_path)
    (tmp_path / "laws.arrow").write_bytes(b"ARROW1 cut")
    with pytest.raises(ResultError, match=r"laws\.arrow: not a whole table"):
        read(tmp_path)


def test_rows_on_sanity_change_nothing_of_the_tasks_they_stand_beside(results: Path) -> None:
    frame = read_metrics(open_store(results.as_uri())).frame
    sanity = frame.with_columns(domain=pl.lit("sanity"), metric=pl.lit("sanity_bits_per_byte"))
    with_sanity = analyse(pl.concat([frame, sanity]))
    assert with_sanity.notices == analyse(frame).notices
    assert_frame_equal(with_sanity.tables["trajectories"], analyse(frame).tables["trajectories"], rel_tol=1e-12)
    assert with_sanity.tables["sanity"].height == sanity.height

"""`fineline suites` and `fineline datasets mirror`."""

from __future__ import annotations

from pathlib import Path

from fineline.errors import SpecError
from fineline.store import open_store
from fineline.suites import CustomSuite, Suite, find_lock, load, names, parse
from fineline_cli import output
from fineline_cli.evaluations import folder_uri
from fineline_cli.output import Format, Row


def show_suites(name: str | None, output_format: Format) -> None:
    """Prints the suites, or one suite's tasks."""
    if name is None:
        rows: list[Row] = [
            {"suite": each, "tasks": len(load(each).tasks), "description": load(each).description} for each in names()
        ]
        output.emit(rows, ["suite", "tasks", "description"], output_format)
        return
    rows = []
    for task in load(name).tasks:
        lock = find_lock(task.task, task.shots)
        rows.append(
            {
                "task": task.task,
                "domain": task.domain,
                "shots": task.shots if task.shots is not None or lock is None else lock.shots,
                "limit": task.limit,
                "documents": lock.documents if lock else None,
                "tokens": lock.tokens if lock else None,
                "chance": lock.chance if lock else None,
                "output": lock.output_type if lock else None,
            }
        )
    output.emit(rows, list(rows[0]), output_format)


def mirror_suite(suite: str, destination: str, source: str | None) -> None:
    """Fills a mirror with the data sets of a suite, from another mirror or the hub."""
    from fineline_evaluator.tasks import mirror

    wanted = read_suite(suite)
    held = open_store(folder_uri(source)) if source is not None else None
    mirror(wanted, open_store(folder_uri(destination)), held, output.say)


def read_suite(name: str) -> Suite | CustomSuite:
    """A built-in suite by name, or one's own by its folder."""
    folder = Path(name)
    if not folder.is_dir():
        return load(name)
    try:
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()) if path.is_file()}
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{folder}: can't be read as a suite: {error}") from None
    return parse(files, folder.name)

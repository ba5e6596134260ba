"""Makes the locks of the built-in suites with lm-eval, or with --check says whether they have drifted.

    .venv/bin/python hack/make_suite_locks.py [--check] [--data FOLDER]

Counts need the data; where the folder lacks a task's splits they stay null, and without the folder they are kept as
they are (and not compared).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from fineline.store import open_store
from fineline.suites import LM_EVAL_VERSION, load, names

SUITES = Path(__file__).parents[1] / "core" / "fineline" / "suites"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="compare, write nothing, end with 1 on a difference")
    default = Path(os.environ.get("FINELINE_TEST_DATA", SUITES.parents[3] / "shared" / "data")) / "benchmarks"
    arguments.add_argument("--data", type=Path, default=default, help="a mirror of data sets, for the counts")
    given = arguments.parse_args()
    made = make(given.data if given.data.is_dir() else None)
    drifted = [name for name, content in made.items() if _text(content) != _present(name)]
    if given.check:
        for name in drifted:
            print(f"{name}.lock.json has drifted: run hack/make_suite_locks.py", file=sys.stderr)
        return 1 if drifted else 0
    for name in drifted:
        (SUITES / f"{name}.lock.json").write_text(_text(made[name]), encoding="utf-8")
        print(f"{name}.lock.json written")
    return 0


def make(data: Path | None) -> dict[str, Any]:
    """The content of each suite's lock."""
    from fineline_evaluator.tasks.locks import FROM_DATA, lock_of
    from fineline_evaluator.tasks.source import MirrorSource

    source = (
        None
        if data is None
        else MirrorSource(open_store(data.resolve().as_uri() + "/"), Path.home() / ".cache" / "fineline")
    )
    made: dict[str, Any] = {}
    for name in names():
        tasks = {task.task: lock_of(task.task, task.shots, source) for task in load(name).tasks}
        kept = json.loads(_present(name) or "{}").get("tasks", {}) if source is None else {}
        for task in tasks.keys() & kept.keys():
            tasks[task] |= {field: kept[task][field] for field in FROM_DATA if field in kept[task]}
        made[name] = {"lm_eval": LM_EVAL_VERSION, "tasks": tasks}
    return made


def _text(content: Any) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _present(name: str) -> str:
    file = SUITES / f"{name}.lock.json"
    return file.read_text(encoding="utf-8") if file.exists() else ""


if __name__ == "__main__":
    sys.exit(main())

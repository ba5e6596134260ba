"""`fineline checkpoints`: what lies under a prefix."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from fineline.checkpoints import Checkpoint, FindOptions, explain_empty, find, inspect
from fineline.errors import CheckpointError
from fineline.store import Store, open_store
from fineline_cli import output
from fineline_cli.evaluations import folder_uri
from fineline_cli.output import Format, Row

READERS = 16
COLUMNS = ("branch", "step", "tokens", "format", "size", "parameters", "complete", "folder")


def show_checkpoints(uri: str, tokens_per_step: int | None, marker: str | None, output_format: Format) -> None:
    """Prints every checkpoint; a headers' read of each complete one counts its parameters."""
    store = open_store(folder_uri(uri))
    found = find(store, FindOptions(tokens_per_step=tokens_per_step, marker=marker))
    if not found.checkpoints:
        raise CheckpointError(explain_empty(found), reason="NoCheckpoint")
    with ThreadPoolExecutor(READERS) as pool:
        rows = list(pool.map(lambda checkpoint: _row(store, checkpoint), found.checkpoints))
    if output_format is Format.TABLE:
        shown = [{**row, "size": output.size(row["bytes"]), "complete": row["missing"] or "yes"} for row in rows]
        for row in shown:
            row["tokens"] = output.tokens(row["tokens"])
            row["parameters"] = output.parameters(row["parameters"]) if row["parameters"] else ""
        output.emit(shown, COLUMNS, output_format)
        for message in [*(item.message for item in found.not_understood), *(item.message for item in found.duplicates)]:
            output.say(f"not read: {message}")
    else:
        output.emit(rows, list(rows[0]), output_format)


def _row(store: Store, checkpoint: Checkpoint) -> Row:
    parameters, missing = None, checkpoint.problem.message if checkpoint.problem else None
    if checkpoint.problem is None:
        try:
            parameters = inspect(store, checkpoint).parameters.total
        except CheckpointError as error:
            missing = str(error)
    position = checkpoint.position
    return {
        "branch": position.branch,
        "step": position.step,
        "tokens": position.tokens,
        "format": str(checkpoint.format),
        "bytes": checkpoint.size,
        "parameters": parameters,
        "complete": missing is None,
        "missing": missing,
        "digest": checkpoint.digest,
        "folder": checkpoint.name,
    }

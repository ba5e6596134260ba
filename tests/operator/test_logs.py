"""Log lines for machines and for people."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from fineline_operator import logs


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("fineline_operator")
    handlers, level, own_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(own_level)
    logging.captureWarnings(capture=False)


def test_a_json_line_says_what_it_is_about() -> None:
    stream = io.StringIO()
    logs.set_up("json", stream=stream)
    with logs.about("CheckpointEval", "evals", "amber"):
        logging.getLogger("fineline_operator.test").info("made the Job %s", "amber-1")
    logging.getLogger("fineline_operator.test").info("on its own")
    about, alone = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (about["kind"], about["namespace"], about["name"]) == ("CheckpointEval", "evals", "amber")
    assert (about["level"], about["message"]) == ("info", "made the Job amber-1")
    assert "name" not in alone


def test_an_error_stays_one_json_line_with_its_traceback() -> None:
    stream = io.StringIO()
    logs.set_up("json", stream=stream)
    try:
        int("the fault\nof this test")
    except ValueError:
        logging.getLogger("fineline_operator.test").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "of this test" in json.loads(line)["error"]


def test_a_text_line_is_one_line_whatever_its_message_holds() -> None:
    stream = io.StringIO()
    logs.set_up("text", stream=stream)
    with logs.about("CheckpointEval", "evals", "amber"):
        logging.getLogger("fineline_operator.test").warning("first\nsecond")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("WARNING CheckpointEval evals/amber: first\\nsecond")


def test_libraries_are_heard_from_warnings_on_and_in_the_same_form() -> None:
    stream = io.StringIO()
    logs.set_up("json", stream=stream)
    logging.getLogger("kopf.objects").info("too much")
    logging.getLogger("kopf.objects").error("Request attempt #1 failed")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["message"] == "Request attempt #1 failed"

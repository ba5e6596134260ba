"""What `.ci/run` calls and says, and that a failure is one. `make` and what looks at the machine are stand-ins:
the real ones take an hour."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.control_plane import REPOSITORY, wait_for


class Checkout:
    """A folder with `.ci/run` and stand-ins for all that it starts; each writes down that it was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in (".ci", "hack", "bin"):
            (folder / part).mkdir()
        shutil.copy(REPOSITORY / ".ci" / "run", folder / ".ci")
        for name in ("ci-packages.sh", "e2e-check.sh", "node.sh"):
            self.stand_in(f"hack/{name}", "")
        self.make("")

    def make(self, does: str) -> None:
        self.stand_in("bin/make", does)

    def stand_in(self, path: str, does: str) -> None:
        file = self.folder / path
        file.write_text(f'#!/bin/bash\necho "$(basename "$0")" "$@" >>{self.folder}/called\n{does}\n')
        file.chmod(0o755)

    def limit(self, limit: str) -> None:
        """Ends the end-to-end tests after so long."""
        script = self.folder / ".ci" / "run"
        text = script.read_text()
        assert text.count('"$1m"') == 1
        script.write_text(text.replace('"$1m"', f'"{limit}"'))

    @property
    def called(self) -> list[str]:
        """In the order of the calls; who installs packages is asked as root alone."""
        lines = (self.folder / "called").read_text().splitlines()
        return [line for line in lines if line != "ci-packages.sh"]

    @contextmanager
    def started(self) -> Iterator[subprocess.Popen[str]]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "FINELINE_NODE_KEEP": ""}
        with subprocess.Popen(
            [str(self.folder / ".ci" / "run")], env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            yield process

    def run(self) -> tuple[int, str]:
        """Its exit status and what it said itself."""
        with self.started() as process:
            _, said = process.communicate(timeout=60)
        return process.returncode, said.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_both_are_run_and_no_node_is_left(checkout: Checkout) -> None:
    assert checkout.run() == (0, "")
    assert checkout.called == ["make test", "e2e-check.sh", "make e2e", "node.sh down"]


def test_what_is_missing_for_the_end_to_end_tests_is_said_in_one_line_and_no_failure(checkout: Checkout) -> None:
    checkout.stand_in("hack/e2e-check.sh", "echo 'hack/node.sh: a node needs root' >&2; exit 1")
    assert checkout.run() == (0, ".ci/run: make e2e was not run: hack/node.sh: a node needs root")
    assert checkout.called == ["make test", "e2e-check.sh"]


@pytest.mark.parametrize(
    ("fails", "called"),
    [("test", ["make test"]), ("e2e", ["make test", "e2e-check.sh", "make e2e", "node.sh down"])],
)
def test_a_failure_of_either_is_one(checkout: Checkout, fails: str, called: list[str]) -> None:
    checkout.make(f"[[ $1 != {fails} ]]")
    assert checkout.run() == (1, "")
    assert checkout.called == called


def test_tests_that_take_too_long_are_ended_and_have_failed(checkout: Checkout) -> None:
    checkout.make("exec sleep 60")
    checkout.limit("0.5s")
    assert checkout.run() == (124, ".ci/run: make test was ended after the 85 minutes that it may take")
    assert checkout.called == ["make test"]


def test_end_to_end_tests_that_take_too_long_are_ended_which_is_said(checkout: Checkout) -> None:
    checkout.make("[[ $1 != e2e ]] || exec sleep 60")
    checkout.limit("0.5s")
    assert checkout.run() == (0, ".ci/run: make e2e was ended after the 45 minutes that it may take")
    assert checkout.called[-1] == "node.sh down"


def test_when_it_is_ended_itself_it_ends_what_it_started_and_leaves_no_node(checkout: Checkout) -> None:
    checkout.make(f"[[ $1 != e2e ]] || {{ echo $$ >{checkout.folder}/process; exec sleep 60; }}")
    with checkout.started() as run:
        wait_for((checkout.folder / "process").exists, "make e2e")
        run.send_signal(signal.SIGTERM)
        assert run.wait(timeout=30) == 143
    process = int((checkout.folder / "process").read_text())
    wait_for(lambda: not Path(f"/proc/{process}").exists(), "the end of make e2e", seconds=5)
    assert checkout.called[-1] == "node.sh down"

"""Part of every run of the tests: fails it where an operator asked for what rbac.yaml does not allow, and, where all of
the operator's tests ran, where a rule of rbac.yaml was not used.

It sees all control planes of the run, those of xdist's workers too: they leave their summaries in one folder.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from support import rights
from support.rights import Done

TESTS = Path(__file__).parents[1] / "operator"
_SHOWN = 20


def register(config: pytest.Config) -> None:
    """Adds the check to the process that tells how a run ended."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(RightsCheck(config), "operator-rights")


class RightsCheck:
    """Collects and judges. A folder that the variable names already is judged with what it holds."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._made = "" if os.environ.get(rights.FOLDER) else tempfile.mkdtemp(prefix="fineline-rights-")
        if self._made:
            os.environ[rights.FOLDER] = self._made
        self._folder = Path(os.environ[rights.FOLDER])
        self._skipped = False
        self._lines: list[str] = []
        self._failed = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file = self._config.rootpath / report.nodeid.partition("::")[0]
        if report.skipped and not hasattr(report, "wasxfail") and file.is_relative_to(TESTS):
            self._skipped = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        done = rights.gathered(self._folder)
        if not done.used and not done.faults:
            return
        partial = self._why_partial(exitstatus)
        self._failed, self._lines = verdict(done, [str(right) for right in rights.rights()], partial)
        if self._failed and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._lines:
            terminalreporter.section("the operator's rights (rbac.yaml)", red=self._failed)
            for line in self._lines:
                terminalreporter.write_line(line)

    def pytest_unconfigure(self) -> None:
        if self._made:
            del os.environ[rights.FOLDER]
            shutil.rmtree(self._made, ignore_errors=True)

    def _why_partial(self, exitstatus: int) -> str:
        """Why it can't be asked whether all rules were used; empty where it can."""
        options = self._config.option
        here = self._config.invocation_params.dir
        if not any(TESTS.is_relative_to((here / argument).resolve()) for argument in self._config.args):
            return "not all of tests/operator was asked for"
        if any((options.keyword, options.markexpr, options.deselect, options.ignore, options.ignore_glob, options.lf)):
            return "some tests were left out"
        if exitstatus != pytest.ExitCode.OK:
            return "not all tests passed"
        return "some of the operator's tests were skipped" if self._skipped else ""


def verdict(done: Done, known: list[str], partial: str) -> tuple[bool, list[str]]:
    """Whether the run fails, and what to say. `partial` says why not every right must have been used."""
    unused = sorted(set(known) - set(done.used))
    lines = [f"{len(known) - len(unused)} of {len(known)} rights were used, in {done.used.total():,} requests"]
    if unused and partial:
        lines.append(f"not used, which is no fault here ({partial}): {', '.join(unused)}")
    elif unused:
        lines += [f"  not used: {right}" for right in unused]
        lines.append("FAILED: take out of rbac.yaml what the operator does not need, or test what needs it.")
    if done.faults:
        shown = done.faults.most_common(_SHOWN)
        lines += [f"  {count} x {words}" for words, count in shown]
        lines += ["  …"] if len(done.faults) > _SHOWN else []
        lines.append(
            f"FAILED: {done.faults.total():,} requests outside of the rules. A test that takes rights away does it "
            "within ControlPlane.expecting_refusals()."
        )
    return bool(done.faults or (unused and not partial)), lines

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fineline_cli.main import main


@dataclass(frozen=True)
class Said:
    """What a command ended with and said."""

    code: int
    out: str
    err: str


Fineline = Callable[..., Said]


@pytest.fixture
def fineline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fineline:
    """The command, called as its entry point is."""

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["fineline", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, captured.out, captured.err)

    return call

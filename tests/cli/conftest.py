from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from fineline_cli.main import main
from support.api_faults import ApiProxy, api_proxy
from support.control_plane import ControlPlane


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


@pytest.fixture
def kubeconfig(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig whose context's namespace is the test's own."""
    values = yaml.safe_load(cluster.kubeconfig.read_text())
    values["contexts"][0]["context"]["namespace"] = namespace
    file = tmp_path / "kubeconfig"
    file.write_text(yaml.safe_dump(values))
    return file


@pytest.fixture
def status(fineline: Fineline, kubeconfig: Path) -> Fineline:
    def call(*arguments: object) -> Said:
        return fineline("status", "--kubeconfig", kubeconfig, *arguments)

    return call


@pytest.fixture
def proxy(cluster: ControlPlane) -> Iterator[ApiProxy]:
    with api_proxy(cluster) as proxy:
        yield proxy


@pytest.fixture
def status_by_proxy(proxy: ApiProxy, kubeconfig: Path, fineline: Fineline) -> Fineline:
    def call(*arguments: object) -> Said:
        return fineline("status", "--kubeconfig", proxy.kubeconfig(kubeconfig), *arguments)

    return call

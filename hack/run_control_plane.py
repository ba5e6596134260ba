"""Starts a Kubernetes control plane that knows Fineline's kinds, for trying things by hand, until Ctrl-C:

    .venv/bin/python hack/run_control_plane.py [--pods NAMESPACE] [--kwok] [--kueue]

There are no nodes. With --pods, the evaluators of that namespace's pods run as processes of this machine; with --kwok,
pods with `nodeName: kwok-node` are played, and do nothing; with --kueue, Kueue looks after Jobs.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support import control_plane, kubelet, kueue, kwok
from support.tools import find_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pods", metavar="NAMESPACE", help="run this namespace's evaluators on this machine")
    parser.add_argument("--kwok", action="store_true", help="play the pods of the node kwok-node")
    parser.add_argument("--kueue", action="store_true", help="install and run Kueue")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="fineline-control-plane-")))
        plane = running.enter_context(control_plane.start(_there(control_plane.find_binaries()), folder / "plane"))
        plane.install_crds()
        if arguments.kueue:
            running.enter_context(kueue.kueue(_there(find_tool("kueue")), plane, folder / "kueue"))
        if arguments.kwok:
            running.enter_context(kwok.kwok(_there(find_tool("kwok")), plane, folder / "kwok"))
        if arguments.pods:
            running.enter_context(kubelet.kubelet(plane, arguments.pods, folder / "pods"))
        print(f"export KUBECONFIG={plane.kubeconfig}\n(Ctrl-C ends it)", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            signal.pause()


def _there(found: tuple[Path | None, str]) -> Path:
    path, reason = found
    if path is None:
        raise SystemExit(reason)
    return path


if __name__ == "__main__":
    main()

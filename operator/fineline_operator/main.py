"""The operator's program: `fineline-operator --settings FILE`.

Ends with 0 when asked to (SIGTERM, SIGINT), 1 where the Lease is lost or a fault of its own, 2 where the command line
or the settings can't be meant.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fineline import __version__
from fineline.errors import FinelineError, SpecError
from fineline_operator import logs
from fineline_operator.acting import Acting, first
from fineline_operator.api import Api, load_configuration
from fineline_operator.health import Health
from fineline_operator.leadership import Leadership, own_identity, own_namespace
from fineline_operator.settings import OperatorSettings, read_settings
from fineline_operator.uploads.uploads import Uploads

logger = logging.getLogger("fineline_operator.main")

EXIT_FAILED = 1

# Python looks for garbage in all that is kept each time that a quarter more was made: with a million checkpoints known,
# seconds, in which nothing else runs. A listing makes and drops thousands of small objects, none of them in a cycle.
_GARBAGE_THRESHOLDS = (20_000, 20, 50)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Never returns: what still runs in a thread must not hold up the end."""
    options = _options(arguments)
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    logs.set_up(options.log_format, options.log_level)
    try:
        settings = read_settings(options.settings)
        code = asyncio.run(_Operator(settings, options.kubeconfig, options.identity or own_identity()).run())
    except FinelineError as error:
        logger.error("%s", error)  # noqa: TRY400 - one line: what a person can mend needs no traceback
        code = error.exit_code
    except Exception:
        logger.exception("the operator failed")
        code = EXIT_FAILED
    _exit(code)


class _Operator:
    """One run: health and the webhook at once, then the Lease, and only with it all that watches and writes."""

    def __init__(self, settings: OperatorSettings, kubeconfig: Path | None, identity: str) -> None:
        self._settings = settings
        self._kubeconfig = kubeconfig
        self._identity = identity
        self._beat = time.monotonic()
        self._stop = asyncio.Event()
        self._acquired = asyncio.Event()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()

        def acquired() -> None:  # called from the Lease's thread
            loop.call_soon_threadsafe(self._acquired.set)

        self._take_signals()
        configuration = await load_configuration(self._kubeconfig)
        api = Api(configuration)
        uploads = Uploads(api, self._settings)
        beating = asyncio.create_task(self._beats())
        leadership = Leadership(
            name=self._settings.lease.name,
            namespace=self._settings.lease.namespace or own_namespace(self._kubeconfig),
            identity=self._identity,
            seconds=self._settings.lease.seconds,
            on_acquired=acquired,
            on_lost=lambda: _exit(EXIT_FAILED),
            kubeconfig=self._kubeconfig,
        )
        health = self._health(leadership)
        logger.info("fineline-operator %s starts as %s", __version__, self._identity)
        health.start()
        await uploads.start()
        leadership.start()
        await first(self._acquired, self._stop)
        if not self._stop.is_set():
            acting = Acting(configuration, api, self._settings, uploads.queues, after_start=self._take_signals)
            await acting.run(self._stop)
        await uploads.stop()
        await api.close()
        await asyncio.to_thread(leadership.release)
        beating.cancel()
        health.stop()
        logger.info("stopped")
        return 0

    def _health(self, leadership: Leadership) -> Health:
        port = self._settings.health_port
        try:
            return Health(port, {"the loop": lambda: self._beat, "the Lease": lambda: leadership.beat})
        except OSError as error:
            raise SpecError(f"healthPort: the port {port} can't be listened at: {error.strerror}") from None

    def _take_signals(self) -> None:
        """Also after kopf has taken them for itself."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def _beats(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(1)


def _exit(code: int) -> NoReturn:
    """End now, whatever still runs: threads that wait for a store would hold up any other end."""
    logs.flush()
    os._exit(code)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="fineline-operator", description="Watches Fineline's resources on a cluster and starts Jobs for them."
    )
    parser.add_argument("--settings", type=Path, required=True, help="the settings, a YAML file")
    parser.add_argument("--log-format", choices=("json", "text"), default="json", help="default: %(default)s")
    parser.add_argument(
        "--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="default: %(default)s"
    )
    parser.add_argument(
        "--kubeconfig", type=Path, help="default: that of KUBECONFIG, else the pod's own service account"
    )
    parser.add_argument("--identity", help="this replica's name in the Lease; default: the pod's, and a random part")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()

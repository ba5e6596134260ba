"""Of any number of writers that put an object if it is absent, or as it was, one gets True."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fineline.store import Store
from fineline.store.directory import rename_if_absent
from fineline.store.files import write_durably

ROUNDS = 50

# Puts the round's object when told so, and says whether it won.
WRITER = """
import sys
from fineline.store import open_store
store = open_store(sys.argv[1])
store.head("warm")
print("ready", flush=True)
for line in sys.stdin:
    print(store.put_if_absent(f"race/{line.strip()}/commit", sys.argv[2].encode() * 1000), flush=True)
"""


def test_one_of_several_threads_wins(store: Store) -> None:
    writers = 6
    ready = threading.Barrier(writers)

    def write(number: int) -> list[bool]:
        won = []
        for round_ in range(ROUNDS):
            ready.wait()
            won.append(store.put_if_absent(f"race/{round_}/commit", bytes([number]) * 1000))
        return won

    with ThreadPoolExecutor(writers) as pool:
        results = list(pool.map(write, range(writers)))
    for round_ in range(ROUNDS):
        winners = [number for number in range(writers) if results[number][round_]]
        assert len(winners) == 1
        assert store.get(f"race/{round_}/commit") == bytes([winners[0]]) * 1000


def test_one_of_two_processes_wins(store: Store) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, store.uri, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        for name in "ab"
    ]
    try:
        assert [said(writer) for writer in writers] == ["ready", "ready"]
        for round_ in range(ROUNDS):
            for writer in writers if round_ % 2 else reversed(writers):
                assert writer.stdin is not None
                writer.stdin.write(f"{round_}\n")
            answers = [said(writer) for writer in writers]
            assert sorted(answers) == ["False", "True"]
            winner = b"ab"[answers.index("True") :][:1]
            assert store.get(f"race/{round_}/commit") == winner * 1000
    finally:
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
            writer.wait(30)
            assert writer.stdout is not None
            writer.stdout.close()
    assert len(list(store.list())) == ROUNDS


def test_one_of_several_threads_wins_where_the_file_system_has_no_links(tmp_path: Path) -> None:
    writers = 6
    ready = threading.Barrier(writers)

    def write(number: int) -> list[bool]:
        won = []
        for round_ in range(ROUNDS):
            ready.wait()
            temporary = tmp_path / f"temporary{number}"
            write_durably(temporary, bytes([number]))
            won.append(rename_if_absent(temporary, tmp_path / f"commit{round_}"))
            temporary.unlink(missing_ok=True)
        return won

    with ThreadPoolExecutor(writers) as pool:
        results = list(pool.map(write, range(writers)))
    for round_ in range(ROUNDS):
        winners = [number for number in range(writers) if results[number][round_]]
        assert len(winners) == 1
        assert (tmp_path / f"commit{round_}").read_bytes() == bytes(winners)


# Adds one to a number as often as it is told, however often another process is quicker.
COUNTER = """
import sys
from fineline.store import open_store
store = open_store(sys.argv[1])
for _ in range(int(sys.argv[2])):
    while True:
        item = store.head("number")
        if store.put_if_unchanged("number", b"%06d" % (int(store.get("number")) + 1), item.etag):
            break
"""


def test_no_change_of_several_processes_is_lost(store: Store) -> None:
    store.put("number", b"000000")
    command = [sys.executable, "-c", COUNTER, store.uri, str(ROUNDS)]
    counters = [subprocess.Popen(command) for _ in range(3)]
    assert [counter.wait(120) for counter in counters] == [0, 0, 0]
    assert int(store.get("number")) == 3 * ROUNDS


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()

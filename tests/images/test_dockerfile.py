"""The Dockerfile takes what it needs of the repository and names no place of one machine's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
SCRIPTS = [*sorted((REPOSITORY / "hack/images").iterdir()), REPOSITORY / "hack/images.sh"]
OVER_VLLM = REPOSITORY / "hack/images/over_vllm.py"


def context() -> tuple[set[str], set[str]]:
    """What .dockerignore lets into a build, and what it keeps out of that again."""
    lines = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    first, *rules = [line for line in lines if line and not line.startswith("#")]
    assert first == "*", "all is kept out, but what is named"
    return {rule[1:] for rule in rules if rule.startswith("!")}, {rule for rule in rules if not rule.startswith("!")}


def copied() -> set[str]:
    """The paths of the repository that the Dockerfile copies or mounts."""
    found = set(re.findall(r"--mount=type=bind,source=(\S+?),", DOCKERFILE))
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        found.update(line.split()[:-1])
    return found


def within(path: str, folders: set[str]) -> bool:
    return any(path == folder or path.startswith(folder + "/") for folder in folders)


def test_a_build_is_sent_all_that_the_dockerfile_copies_and_nothing_else() -> None:
    let_in, _ = context()
    assert [path for path in copied() if not within(path, let_in)] == []
    assert [path for path in let_in if not any(within(used, {path}) for used in copied())] == []
    assert [path for path in copied() if not (REPOSITORY / path).exists()] == []


@pytest.mark.parametrize("path", [".git", ".venv", "tests", "build", "dist", "docs", "charts", "hack/node.sh"])
def test_a_build_is_not_sent(path: str) -> None:
    assert not within(path, context()[0])


def test_a_build_is_not_sent_bytecode() -> None:
    assert {"**/__pycache__", "**/*.pyc"} <= context()[1]


def test_nothing_that_builds_images_names_an_index_or_a_place_of_one_machine() -> None:
    """How the index is reached is given from outside, as secrets of the build."""
    allowed = {"http://127.0.0.1:8080/healthz", "http://deb.debian.org/debian", "https://docs.astral.sh/uv"}
    for text in (DOCKERFILE, *(script.read_text(encoding="utf-8") for script in SCRIPTS if script.is_file())):
        assert set(re.findall(r"https?://[\w.:/-]+[\w/]", text)) <= allowed
        assert not re.search(r"[\s\"'=](/work|/home|/root)/", text)
        assert not re.search(r"--(extra-)?index-url|--trusted-host|--find-links", text)


@pytest.mark.parametrize("target", ["operator", "analysis", "evaluator-cpu", "evaluator"])
def test_each_image_is_of_a_user_by_number_and_says_what_it_is(target: str) -> None:
    found = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    stages = {stage.split(" AS ", 1)[1].split()[0]: stage for stage in found}
    last_user = re.findall(r"^USER (\S+)$", stages["slim"] + stages[target], re.MULTILINE)[-1]
    assert last_user == "65532:65532"
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in stages[target]


def test_what_a_step_mounts_of_another_stage_is_told_by_a_file_that_is_copied_before() -> None:
    """Buildah takes a step for done that only mounts something else than before."""
    mounts = list(re.finditer(r"--mount=type=bind,from=(\w+)", DOCKERFILE))
    assert mounts
    for mount in mounts:
        stage = DOCKERFILE[: mount.start()].rpartition("\nFROM ")[2]
        assert f"COPY --from={mount[1]} /build/made-with " in stage


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing: no such command; one of build, base, sbom, audit, sizes"),
        (["bild"], "bild: no such command; one of build, base, sbom, audit, sizes"),
        (["build"], "build: which image? operator, analysis, evaluator, evaluator-cpu"),
        (["build", "cli"], "cli: no such image; one of operator, analysis, evaluator, evaluator-cpu"),
    ],
)
def test_a_wrong_command_gets_one_line_that_says_what_there_is(words: list[str], says: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [REPOSITORY / "hack/images.sh", *words],
        capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (1, f"hack/images.sh: {says}\n")


class Site:
    """Packages as a Python of vLLM's image has them; only their metadata is looked at."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, version: str, *requires: str) -> None:
        about = self.folder / f"{name}-{version}.dist-info"
        about.mkdir(parents=True)
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (about / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        packaging = Path(pytest.importorskip("packaging").__file__).parent
        (self.folder / "packaging").symlink_to(packaging)
        return subprocess.run(
            [sys.executable, "-S", OVER_VLLM, *words],
            env={"PYTHONPATH": str(self.folder)}, capture_output=True, text=True, check=False,
        )  # fmt: skip


LOCK = """\
boto3==1.44.5 \\
    --hash=sha256:aa
    # via fineline (pyproject.toml)
torch==2.13.0 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
    # via vllm
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path / "site-packages")
    site.add("torch", "2.13.0+cu130")
    site.add("vllm", "0.32.0")
    return site


def test_what_vllms_image_has_is_not_installed_again(site: Site, tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(LOCK)
    ended = site.run("lacking", str(lock))
    assert ended.stdout == "boto3==1.44.5 \\\n    --hash=sha256:aa\n", ended.stderr


def test_an_image_without_vllm_is_refused(tmp_path: Path) -> None:
    site = Site(tmp_path / "site-packages")
    site.add("torch", "2.13.0")
    (tmp_path / "lock.txt").write_text(LOCK)
    ended = site.run("lacking", str(tmp_path / "lock.txt"))
    assert (ended.returncode, ended.stderr) == (1, "VLLM_IMAGE: its python3 has no vllm; give an image of vLLM's\n")


def test_an_image_of_another_vllm_is_refused(site: Site) -> None:
    site.add("fineline", "0.1.0", "vllm==0.33.*; extra == 'evaluator'", "typer; extra == 'cli'")
    ended = site.run("check", str(site.folder))
    message = 'fineline requires vllm==0.33.*; extra == "evaluator", and 0.32.0 is installed'
    assert (ended.returncode, ended.stderr) == (1, f"VLLM_IMAGE does not fit: {message}\n")


def test_an_image_of_the_right_vllm_is_taken(site: Site) -> None:
    site.add("fineline", "0.1.0", "vllm==0.32.*; extra == 'evaluator'", "typer; extra == 'cli'")
    ended = site.run("check", str(site.folder))
    assert (ended.returncode, ended.stderr) == (0, "")

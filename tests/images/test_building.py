"""What hack/images.sh asks of an engine, keeps and says. The engine is a stand-in, and builds nothing."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NEEDED = (
    "Dockerfile",
    ".dockerignore",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "hack/images.sh",
    "hack/images",
    "locks",
)
DAY = 24 * 60 * 60
DEFAULT_BASE = re.findall(r"^ARG BASE=(.+)$", (REPOSITORY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)[0]

# An image is a file of its layers; an archive holds what the engine was told to build it with.
ENGINE = """#!/bin/bash
echo "$(basename "$0") $*" >>"$WORLD/asked"
of() { echo "$WORLD/images/${1//[^a-z0-9]/-}"; }
case " $* " in
  *" info "* | *" containers "*) ;;
  *" image exists "*) [[ -f $(of "${!#}") ]] ;;
  *" inspect "*) cat "$(of "${!#}")" ;;
  *" pull "* | *" import "* | *" from "*) exit 1 ;;
  *" build "* | *" bud "*) printf '%s\\n' "$@" >"$WORLD/built" ;;
  *" save "*) while [[ $1 != -o ]]; do shift; done; cp "$WORLD/built" "$2" ;;
  *" push "*) file=${!#}; file=${file#docker-archive:}; cp "$WORLD/built" "${file%%:*}" ;;
esac
"""


class World:
    """A repository of its own with what images are built of, engines, a home, and no network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = folder / "sources"
        self.images = folder / "cache/fineline/images"
        for name in NEEDED:
            there = self.sources / name
            there.parent.mkdir(parents=True, exist_ok=True)
            if (REPOSITORY / name).is_dir():
                shutil.copytree(REPOSITORY / name, there, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(REPOSITORY / name, there)
        for name in ("core", "operator", "evaluator", "analysis", "cli"):
            self.write(f"sources/{name}/module.py", "one = 1\n")
        for name in ("docker", "podman", "buildah"):
            self.program(name, ENGINE)
        # Says where pip's index is: slow, and of this machine.
        self.program("python3", "#!/bin/sh\nexit 1\n")
        self.image("base", "layer-of-base")
        self.write("asked", "")

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def program(self, name: str, text: str) -> None:
        self.write(f"programs/{name}", text).chmod(0o755)

    def image(self, name: str, layer: str) -> None:
        self.write("images/" + re.sub(r"[^a-z0-9]", "-", name), layer + "\n")

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'programs'}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "WORLD": str(self.folder),
            "FINELINE_ENGINE": "podman",
            "BASE": "base",
        }
        return subprocess.run(
            [self.sources / "hack/images.sh", *words],
            env=environment | variables, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def build(self, target: str = "operator", **variables: str) -> Path:
        ended = self.run("build", target, **variables)
        assert ended.returncode == 0, ended.stderr
        name, archive = ended.stdout.split()
        assert name == target
        return Path(archive)

    def git(self, *words: str) -> str:
        who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.com")
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        return subprocess.check_output(["git", *who, *words], cwd=self.sources, env=environment, text=True).strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "Change something")
        return self.git("rev-parse", "HEAD")

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text(encoding="utf-8")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def revision_in(archive: Path) -> str:
    found = re.search(r"^REVISION=(.*)$", archive.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def test_an_archive_that_was_asked_for_before_is_kept_for_whoever_reads_it_yet(world: World) -> None:
    archives = []
    for number in range(3):
        world.write("sources/core/module.py", f"{number}\n")
        archives.append(world.build())
    assert [archive.exists() for archive in archives] == [False, True, True]


def test_of_more_than_two_archives_those_asked_for_last_are_kept(world: World) -> None:
    world.build("analysis")
    first = world.build()
    world.write("sources/core/module.py", "two = 2\n")
    second = world.build()
    os.utime(second.parent, (second.stat().st_mtime - 60,) * 2)
    world.write("sources/core/module.py", "one = 1\n")
    assert world.build() == first
    world.write("sources/core/module.py", "three = 3\n")
    third = world.build()
    assert {*world.images.glob("*/operator.tar")} == {first, third}
    assert len([*world.images.glob("*/analysis.tar")]) == 1


def test_an_archive_that_nobody_asked_for_in_a_day_goes_with_the_next_build(world: World) -> None:
    first = world.build()
    os.utime(first.parent, (first.stat().st_mtime - DAY - 120,) * 2)
    world.write("sources/core/module.py", "two = 2\n")
    second = world.build()
    assert {*world.images.glob("*/operator.tar")} == {second}


def test_what_was_built_of_changed_sources_and_committed_then_has_the_commits_label(world: World) -> None:
    world.git("init", "-q")
    before = world.commit()
    assert revision_in(world.build()) == before
    world.write("sources/core/module.py", "two = 2\n")
    assert revision_in(world.build()) == f"{before}-dirty"
    after = world.commit()
    assert revision_in(world.build()) == after
    assert world.build() == world.build()


def test_another_builder_or_another_engine_makes_another_archive(world: World) -> None:
    world.image("builder", "layer-of-builder")
    archives = [world.build(BUILDER="builder")]
    world.image("builder", "another-layer")
    archives.append(world.build(BUILDER="builder"))
    archives.append(world.build(BUILDER="builder", FINELINE_ENGINE="docker"))
    assert len(set(archives)) == 3


def test_a_builder_that_is_nowhere_is_told(world: World) -> None:
    ended = world.run("build", "operator", BUILDER="gone")
    assert ended.returncode == 1
    assert ended.stderr == "hack/images.sh: BUILDER: the image gone is not here and can't be fetched\n"


def test_whenever_the_stand_in_is_the_base_it_is_told(world: World) -> None:
    digest = world.folder / "digest"
    script = f'. <(sed -n "/^digest_of/,/^}}/p" hack/images.sh); digest_of hack/images/base.sh >{digest}'
    subprocess.run(["bash", "-c", script], cwd=world.sources, check=True)
    name = digest.read_text(encoding="utf-8").strip()
    world.write(f"cache/fineline/images/base-{name}-{os.uname().machine}.tar", "")
    world.image(f"localhost/fineline/base:{name}", "layer-of-stand-in")
    for _ in range(2):
        ended = world.run("build", "operator", BASE="")
        assert ended.returncode == 0, ended.stderr
        assert f"the base is a stand-in, for tests alone: {DEFAULT_BASE} could not be fetched" in ended.stderr
    assert "could not be fetched" not in world.run("build", "operator").stderr


def test_a_base_that_can_not_be_made_ends_it_with_one_reason(world: World) -> None:
    for name in ("debootstrap", "apt-get"):
        world.program(name, "#!/bin/sh\necho no way >&2\nexit 1\n")
    ended = world.run("build", "operator", BASE="")
    assert ended.returncode == 1
    told, *_, last = ended.stderr.splitlines()
    assert told.startswith("hack/images.sh: the base is a stand-in")
    assert last.startswith("hack/images/base.sh: debootstrap ")
    assert not re.search(r" (import|build) ", world.asked)
    assert "building" not in ended.stderr


def test_a_stand_in_is_of_what_debian_signed_and_holds_nothing_of_this_machines(world: World) -> None:
    if os.geteuid() != 0:
        pytest.skip("the script makes a stand-in for root alone, as debootstrap does")
    of_machine = "sources.list hostname resolv.conf"
    world.program(
        "debootstrap",
        f"""#!/bin/bash
echo "$*" >"$WORLD/debootstrap"
root=${{*: -2:1}}
mkdir -p "$root"/etc/apt "$root"/var/{{cache/apt/archives,lib/apt/lists,log}} "$root"/{{dev,usr/share/doc}}
for name in {of_machine}; do echo "of this machine: ${{!#}}" >"$root/etc/$name"; done
mv "$root/etc/sources.list" "$root/etc/apt/"
""",
    )
    file = world.folder / "stand-in.tar"
    ended = subprocess.run(
        [world.sources / "hack/images/base.sh", file],
        env={
            "PATH": f"{world.folder / 'programs'}:/usr/bin:/bin",
            "WORLD": str(world.folder),
            "DEBIAN_MIRROR": "http://somebody:password@mirror.example/debian",
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    asked = (world.folder / "debootstrap").read_text(encoding="utf-8")
    assert "--force-check-gpg" in asked
    assert "password" in asked
    assert b"of this machine" not in file.read_bytes()
    with tarfile.open(file) as whole:
        assert {"./etc/hostname", "./etc/resolv.conf", "./etc/apt/sources.list"} <= set(whole.getnames())


@pytest.mark.parametrize(("engine", "handed_in"), [("docker", ["HTTPS_PROXY", "no_proxy"]), ("podman", [])])
def test_docker_is_handed_the_proxies_that_the_others_take_themselves(
    world: World, engine: str, handed_in: list[str]
) -> None:
    proxies = {"HTTPS_PROXY": "http://somebody:password@proxy.example", "no_proxy": "localhost"}
    arguments = world.build(FINELINE_ENGINE=engine, **proxies).read_text(encoding="utf-8").splitlines()
    assert [argument for argument in arguments if argument.lower().endswith("_proxy")] == handed_in
    assert "password" not in world.asked


def test_all_of_buildahs_lies_below_the_cache(world: World) -> None:
    (world.images / "storage/vfs-layers").mkdir(parents=True)
    world.build(FINELINE_ENGINE="buildah", XDG_RUNTIME_DIR="")
    asked = [line for line in world.asked.splitlines() if line.startswith("buildah ")]
    assert asked
    for line in asked:
        assert f"--root {world.images}/storage --runroot {world.images}/run " in line


def test_what_a_killed_run_left_is_removed_and_what_was_built_stays(world: World) -> None:
    if not shutil.which("flock"):
        pytest.skip("flock is not installed: without it nobody knows whether a run was killed")
    archive = world.build()
    left = [f".{kind}-abc123/file" for kind in ("building", "sbom", "secrets", "base", "probe")]
    left += ["base-abc-x86_64.tar.part", "run/overlay-layers/mountpoints.json"]
    for name in left:
        world.write(f"cache/fineline/images/{name}", "large")
    stand_in = world.write("cache/fineline/images/base-abc-x86_64.tar", "")
    assert world.build() == archive
    assert archive.exists()
    assert stand_in.exists()
    remaining = {path.name for path in world.images.iterdir()}
    assert remaining == {".lock", "tmp", "operator.log", stand_in.name, archive.parent.name}


def test_how_the_index_is_reached_is_gone_after_a_build(world: World) -> None:
    world.build(PIP_INDEX_URL="https://somebody:password@index.example/simple")
    assert "password" not in world.asked
    left = [path for path in world.images.rglob("*") if path.is_file() and b"password" in path.read_bytes()]
    assert left == []


def test_an_audit_goes_on_after_a_finding_and_fails_at_the_end(world: World) -> None:
    world.program("uv", '#!/bin/bash\necho "audit of ${!#}"\n[[ ${!#} != */operator.txt ]]\n')
    ended = world.run("audit", "operator", "analysis")
    assert ended.returncode == 1
    assert ended.stdout.split("\n") == ["audit of locks/operator.txt", "audit of locks/analysis.txt", ""]
    assert ended.stderr.startswith("hack/images.sh: operator: pip-audit found something")
    assert "analysis" not in ended.stderr
    assert world.run("audit", "analysis").returncode == 0


def test_a_layer_that_is_kept_once_for_two_is_counted_for_both(tmp_path: Path) -> None:
    """As docker save wrote them before 25: the second one is a link out of its own folder."""
    archive = tmp_path / "operator.tar"
    with tarfile.open(archive, "w") as whole:
        content = b'[{"Layers": ["aaa/layer.tar", "bbb/layer.tar"]}]'
        for name, data in (("manifest.json", content), ("aaa/layer.tar", b"x" * 3_000_000)):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            whole.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("bbb/layer.tar")
        link.type, link.linkname = tarfile.SYMTYPE, "../aaa/layer.tar"
        whole.addfile(link)
    said = subprocess.check_output(["python3", REPOSITORY / "hack/images/sizes.py", archive, "1"], text=True)
    assert said.splitlines()[1].split()[:5] == ["operator", "3", "MB", "3", "MB"]


def test_what_the_builder_makes_an_environment_with_is_told_by_a_file(tmp_path: Path) -> None:
    """Of which the image's step depends: engines see that a copy changed, and not that a mount did."""
    script = (REPOSITORY / "hack/images/make-tools.sh").read_text(encoding="utf-8").replace("/build/", f"{tmp_path}/")
    pip = tmp_path / "tools/bin/pip"
    for path, text in (
        (tmp_path / "images/index.sh", ""),
        (tmp_path / "locks/build.txt", "uv\n"),
        (tmp_path / "programs/python3", '#!/bin/sh\n[ "$1" != --version ] || echo "Python $PYTHON"\n'),
        (pip, "#!/bin/sh\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def made_with(python: str = "3.12.1") -> str:
        environment = {"PATH": f"{tmp_path / 'programs'}:/usr/bin:/bin", "PYTHON": python}
        subprocess.run(["sh", "-c", script], env=environment, check=True)
        return (tmp_path / "made-with").read_text(encoding="utf-8")

    told = [made_with(), made_with("3.12.2")]
    for changed in ("images/index.sh", "locks/build.txt"):
        (tmp_path / changed).write_text("# changed", encoding="utf-8")
        told.append(made_with())
    assert len(set(told)) == 4
    assert made_with() == told[-1]

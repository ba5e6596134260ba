"""The built images hold what their locks say and no more, and their programs run as the operator's pods run them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import polars as pl
import pytest

from fineline.plan import bundle
from fineline.results import UnitAddress, arrow
from fineline.results.schemas import MANIFEST_KEY, METRICS
from fineline.store import open_store
from support.publishing import MANIFEST
from support.trajectories import Law, simulated
from support.unpacked import USER, Unpacked

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = {
    "operator": "fineline-operator",
    "analysis": "fineline-analysis",
    "evaluator-cpu": "fineline-evaluator",
}
BUILD_TOOLS = ("cc", "gcc", "g++", "clang", "ld", "make", "pip", "pip3", "uv")
LABEL = "org.opencontainers.image."
VLLM = {"backend": "vllm", "dtype": "float32", "maxModelLen": 256}
VLLM |= {"args": {"threads": 1, "kv_cache_memory_bytes": 1 << 26}}

each_image = pytest.mark.parametrize("target", list(PROGRAMS))
Images = Callable[[str], Unpacked]


@each_image
def test_the_program_starts_as_a_user_that_nobody_knows_on_a_root_that_cannot_be_written_to(
    image_of: Images, target: str
) -> None:
    image = image_of(target)
    tried = image.run("sh", "-c", "id -u; touch /opt/fineline/new 2>&1; touch /tmp/new && ls /tmp/new")
    assert tried.stdout.splitlines()[0] == str(USER)
    assert "Read-only file system" in tried.stdout
    assert tried.stdout.endswith("/tmp/new\n")

    ended = image.run(PROGRAMS[target], "--help")
    assert ended.returncode == 0, ended.stderr
    assert PROGRAMS[target] in ended.stdout


@each_image
def test_an_image_says_what_it_is_and_whose_sources_it_was_built_from(image_of: Images, target: str) -> None:
    config = image_of(target).config
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = config["Labels"]
    assert labels[LABEL + "version"] == project["version"]
    assert labels[LABEL + "licenses"] == project["license"]
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", labels[LABEL + "revision"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", labels[LABEL + "created"])
    assert labels[LABEL + "title"] == f"fineline-{target}"
    assert config["User"] == f"{USER}:{USER}"
    assert config["Entrypoint"] == [PROGRAMS[target]]
    assert ("Healthcheck" in config) == (target == "operator")


@each_image
def test_an_image_holds_no_compiler_and_nothing_that_installs(image_of: Images, target: str) -> None:
    image = image_of(target)
    found = image.run("sh", "-c", f"for tool in {' '.join(BUILD_TOOLS)}; do command -v $tool; done; true")
    assert (found.returncode, found.stdout) == (0, "")
    for module in ("pip", "ensurepip"):
        assert f"No module named {module}" in image.run("python3", "-m", module).stderr


@each_image
def test_nothing_of_ours_belongs_to_the_user_that_runs_it_or_lends_rights(image_of: Images, target: str) -> None:
    image = image_of(target)
    wrong = [
        str(path)
        for path, member in image.added.items()
        if path != PurePosixPath("tmp")
        and not member.issym()
        and (member.uid != 0 or member.mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH | stat.S_IWGRP))
    ]
    assert wrong == []


@each_image
def test_nothing_of_the_build_is_left_behind(image_of: Images, target: str) -> None:
    image = image_of(target)
    left = [
        str(path)
        for path, member in image.added.items()
        if path.parts[0] in {"build", "run", "root", "tmp"} and member.isreg() and member.size
    ]
    assert left == []
    environment = " ".join(image.config["Env"])
    assert not re.search(r"index|cache_dir|ssl|cert", environment, re.IGNORECASE), environment


@each_image
def test_every_module_has_its_bytecode_so_that_pods_start_quickly(image_of: Images, target: str) -> None:
    image = image_of(target)
    paths = {str(path) for path in image.added}
    ours = [path for path in paths if re.search(r"site-packages/fineline\w*/.*\.py$", path)]
    assert len(ours) > 100
    compiled = {re.sub(r"__pycache__/(\w+)\.cpython-\d+\.pyc$", r"\1.py", path) for path in paths}
    assert [path for path in ours if not (path in compiled and _compiled(path, paths))] == []


def _compiled(path: str, paths: set[str]) -> bool:
    folder, _, name = path.rpartition("/")
    return any(path.startswith(f"{folder}/__pycache__/{name.removesuffix('.py')}.cpython-") for path in paths)


@each_image
def test_an_image_has_its_own_program_of_ours_alone(image_of: Images, target: str) -> None:
    programs = {path.name for path in image_of(target).added if path.match("opt/fineline/bin/fineline*")}
    assert programs == {PROGRAMS[target]}


def test_every_module_of_the_operator_is_imported_without_what_its_lock_leaves_out(image_of: Images) -> None:
    code = """
import importlib, importlib.util, pkgutil, fineline_operator
for module in pkgutil.walk_packages(fineline_operator.__path__, "fineline_operator."):
    importlib.import_module(module.name)
print([name for name in ("polars", "pyarrow") if importlib.util.find_spec(name)])
"""
    ended = image_of("operator").run("python", "-I", "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


def test_what_the_analysis_loads_is_all_there_and_has_its_bytecode(image_of: Images) -> None:
    code = """
import importlib, pathlib, pkgutil, sys
import fineline, fineline_analysis
for package in (fineline, fineline_analysis):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
cached = [getattr(module, "__cached__", None) or "" for module in list(sys.modules.values())]
print([path for path in cached if "site-packages" in path and not pathlib.Path(path).exists()])
"""
    ended = image_of("analysis").run("python", "-I", "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr


@pytest.mark.parametrize(
    ("target", "services"),
    [("operator", ("s3", "sqs", "sts", "sso", "sso-oidc")), ("analysis", ("s3", "sts", "sso", "sso-oidc"))],
)
def test_clients_of_the_services_that_a_program_asks_can_be_made(
    image_of: Images, target: str, services: tuple[str, ...]
) -> None:
    code = f"""
import botocore.session
session = botocore.session.Session()
for service in {services}:
    client = session.create_client(service, "eu-west-1", aws_access_key_id="key", aws_secret_access_key="secret")
    print(client.meta.endpoint_url)
"""
    ended = image_of(target).run("python", "-I", "-c", code)
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) == len(services)


def test_the_analysis_lists_reads_and_writes_a_bucket(image_of: Images) -> None:
    """Of a server beside it, which answers as S3 does where a bucket is empty."""
    code = """
import http.server, os, threading
class Server(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b"", etag="none"):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if "list-type=2" in self.path:
            self.answer(200, b"<ListBucketResult><Name>bucket</Name><KeyCount>0</KeyCount></ListBucketResult>")
        else:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
    def do_PUT(self):
        self.answer(200)
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}", "AWS_ACCESS_KEY_ID": "key",
               "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
from fineline.errors import FinelineError
from fineline.store import open_store
store = open_store("s3://bucket/results")
print(list(store.list("")))
store.put("key", b"value")
try:
    store.get("gone")
except FinelineError as error:
    print(type(error).__name__)
"""
    ended = image_of("analysis").run("python", "-I", "-c", code)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "[]\nObjectNotFound\n"


def test_the_analysis_draws_images(image_of: Images) -> None:
    code = """
import altair as alt, vl_convert
chart = alt.Chart(alt.Data(values=[{"x": 1, "y": 2}])).mark_point().encode(x="x:Q", y="y:Q").to_dict()
print(vl_convert.vegalite_to_png(chart)[1:4], "<svg" in vl_convert.vegalite_to_svg(chart))
"""
    ended = image_of("analysis").run("python", "-I", "-c", code)
    assert (ended.returncode, ended.stdout) == (0, "b'PNG' True\n"), ended.stderr


def test_the_operators_health_check_fails_where_nothing_answers(image_of: Images) -> None:
    image = image_of("operator")
    kind, *command = image.config["Healthcheck"]["Test"]
    assert kind == "CMD"
    ended = image.run(*command)
    assert ended.returncode == 1
    assert "Connection refused" in ended.stderr


def test_the_analysis_reads_results_and_leaves_a_report(image_of: Images, tmp_path: Path) -> None:
    results, output = tmp_path / "results", tmp_path / "output"
    output.mkdir()
    rises = {"reasoning": {"piqa": Law(0.8, 0.15, 0.4)}, "language": {"lambada": Law(0.7, 0.2, 0.5)}}
    store = open_store(f"file://{results}")
    for (run, step, task), unit in simulated(rises, points=6).group_by("run", "step", "task"):
        table = unit.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(METRICS)
        manifest = json.dumps(json.loads(MANIFEST.to_json())).encode()
        address = UnitAddress(str(run), "main", int(str(step)), str(task), "0" * 16)
        store.put(address.metrics, arrow.to_file(table, {MANIFEST_KEY: manifest}))
    for folder in (results, output):
        _give(folder)

    ended = image_of("analysis").run(
        "fineline-analysis", "--results", f"file://{results}", "--output", f"file://{output}", folders=(results, output)
    )
    assert ended.returncode == 0, ended.stderr
    report = next(output.rglob("report.html"))
    assert "piqa" in report.read_text(encoding="utf-8")


def _give(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, USER)


def test_the_cpu_evaluator_scores_a_slice(image_of: Images, tmp_path: Path) -> None:
    from support.slices import Site, make_mirror, make_run, upload

    results, plan_folder, scratch = (tmp_path / name for name in ("results", "plan", "scratch"))
    for folder in (results, plan_folder, scratch):
        folder.mkdir()
    checkpoints = tmp_path / "checkpoints"
    site = Site(
        checkpoints=upload(make_run(tmp_path / "trained", steps=(1,)), f"file://{checkpoints}/"),
        mirror=upload(make_mirror(tmp_path / "made"), f"file://{tmp_path / 'mirror'}/"),
        results=f"file://{results}/",
    )
    plan = site.plan("letters", "sums", engine=VLLM)
    for name, data in bundle(plan, plan.slices(1), made=datetime.now(UTC)).index.items():
        (plan_folder / name).write_bytes(data)
    folders = (checkpoints, tmp_path / "mirror", results, plan_folder, scratch)
    for folder in folders:
        _give(folder)

    ended = image_of("evaluator-cpu").run(
        "fineline-evaluator", "--plan", str(plan_folder), "--scratch", str(scratch),
        folders=folders, variables={"JOB_COMPLETION_INDEX": "0", "HOSTNAME": "pod-0"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert sorted(site.contents()) == [(1, "letters"), (1, "sums")]


def test_the_images_take_no_more_than_is_promised(archive_of: Callable[[str], Path]) -> None:
    """Unpacked, and to pull."""
    spec = importlib.util.spec_from_file_location("sizes", REPOSITORY / "hack/images/sizes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    added = {}
    for target in ("operator", "analysis"):
        archive = archive_of(target)
        added[target] = module.sizes(archive, int(archive.with_suffix(".base-layers").read_text()))[1:]
    for target, (unpacked, to_pull) in {"operator": (250e6, 60e6), "analysis": (450e6, 200e6)}.items():
        assert added[target][0] <= unpacked
        assert added[target][1] <= to_pull


def test_built_from_nothing_again_an_image_has_the_same_layers(
    archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    """With buildah, whose layers lie in a folder that can be another one. The base is the same."""
    if not shutil.which("buildah"):
        pytest.skip("buildah is not installed")
    archive_of("operator")
    images = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "fineline/images"
    fresh = tmp_path / "fineline/images"
    fresh.mkdir(parents=True)
    for base in images.glob("base-*.tar"):
        (fresh / base.name).symlink_to(base)

    layers = []
    for cache in (images.parents[1], tmp_path):
        environment = os.environ | {"FINELINE_ENGINE": "buildah", "XDG_CACHE_HOME": str(cache)}
        ended = subprocess.run(
            [REPOSITORY / "hack/images.sh", "build", "operator"],
            env=environment, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        with tarfile.open(ended.stdout.split()[1]) as archive:
            manifest = archive.extractfile("manifest.json")
            assert manifest is not None
            layers.append(json.load(manifest)[0]["Layers"])
    assert layers[0] == layers[1]


def test_building_again_takes_what_was_built(archive_of: Callable[[str], Path]) -> None:
    first = archive_of("operator")
    written = first.stat().st_mtime_ns
    assert archive_of("operator") == first
    assert first.stat().st_mtime_ns == written


def test_a_software_bill_of_materials_names_each_package_of_the_lock(archive_of: Callable[[str], Path]) -> None:
    archive_of("operator")
    ended = subprocess.run(
        [REPOSITORY / "hack/images.sh", "sbom", "operator"], capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr
    bill = json.loads(Path(ended.stdout.strip()).read_text(encoding="utf-8"))
    named = {component["name"].lower().replace("_", "-"): component["version"] for component in bill["components"]}
    lock = (REPOSITORY / "locks/operator.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\", lock, re.MULTILINE))
    assert named == locked
    assert bill["metadata"]["component"]["name"] == "fineline"

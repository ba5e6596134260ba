"""What unused.txt names is taken out of an image, and whatever it names that isn't there ends the build."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
LEAVE_OUT = REPOSITORY / "hack/images/leave_out.py"


class Packages:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "site-packages"
        for name in ("tests/test_rows.py", "data/s3/model", "data/ec2/model", "data/index", "x"):
            path = self.folder / "rows" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("no_code = True\n")

    def without(self, unused: str, image: str = "") -> subprocess.CompletedProcess[str]:
        file = self.folder.parent / "unused.txt"
        file.write_text(unused)
        return subprocess.run(
            [sys.executable, "-B", LEAVE_OUT, file, image, self.folder], capture_output=True, text=True, check=False
        )

    def add(self, name: str, source: str) -> None:
        (self.folder / name).write_text(source)

    def left(self) -> set[str]:
        files = {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}
        return {file for file in files if not file.endswith(".pyc")}

    def compiled(self) -> set[str]:
        return {path.name.split(".")[0] for path in self.folder.rglob("*.pyc")}


@pytest.fixture
def packages(tmp_path: Path) -> Packages:
    return Packages(tmp_path)


def test_what_is_unused_in_every_image_and_in_this_one_is_left_out(packages: Packages) -> None:
    ended = packages.without("[every image]\n**/tests  # why\n[this]\nrows/data\n[other]\nrows/x\n", "this")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert packages.left() == {"rows/x"}


def test_names_that_are_kept_stay_of_all_that_a_pattern_matches(packages: Packages) -> None:
    assert packages.without("[this]\nrows/data/* but s3 index\n", "this").returncode == 0
    assert packages.left() == {"rows/tests/test_rows.py", "rows/data/s3/model", "rows/data/index", "rows/x"}


@pytest.mark.parametrize(
    ("unused", "says"),
    [
        ("[this]\nrows/gone", "[this] rows/gone: matches nothing; where has the package moved it?"),
        ("[this]\ngone/x", "[this] gone/x: matches nothing; where has the package moved it?"),
        ("[every image]\nrows/gone", "[every image] rows/gone: matches nothing; where has the package moved it?"),
        ("[this]\nsymbols of gone/*.so", "[this] gone/*.so: matches nothing; where has the package moved it?"),
        ("[this]\nrows/data/* but sqs", "[this] rows/data/*: sqs, which is to be kept, is not there"),
        ("[this]\nx but", "none of the kinds of lines that its head tells of: x but"),
        ("[this]\nbytecode but of gone", "what gone load can't be told: one of them is not imported"),
        (
            "[this]\nsubpackages of gone but of sys",
            "[this] gone/*/__init__.py: matches nothing; where has the package moved it?",
        ),
    ],
)
def test_a_line_that_does_nothing_ends_the_build(packages: Packages, unused: str, says: str) -> None:
    before = packages.left()
    ended = packages.without(unused, "this")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, f"unused.txt: {says}")
    assert packages.left() == before


def test_every_image_may_be_without_a_package_that_some_have(packages: Packages) -> None:
    assert packages.without("[every image]\ngone/include\n**/nothing\n").returncode == 0


def test_libraries_stay_that_a_module_is_linked_to_itself_or_by_another(packages: Packages) -> None:
    (packages.folder / "rows.libs").mkdir()
    packages.add("rows/module.so", "needs libone.so\0")
    packages.add("rows.libs/libone.so", "needs libtwo.so\0")
    packages.add("rows.libs/libtwo.so", "")
    packages.add("rows.libs/libthree.so", "needs libthree.so\0 libone.so\0")
    assert packages.without("[this]\nunlinked rows.libs/*", "this").returncode == 0
    assert {file for file in packages.left() if ".so" in file} == {
        "rows/module.so", "rows.libs/libone.so", "rows.libs/libtwo.so",
    }  # fmt: skip


def test_subpackages_stay_that_a_module_loads(packages: Packages) -> None:
    for name in ("one", "two", "three"):
        (packages.folder / "rows" / name).mkdir()
        packages.add(f"rows/{name}/__init__.py", "")
    packages.add("rows/one/part.py", "import rows.two")
    assert packages.without("[this]\nsubpackages of rows but of rows.one.part", "this").returncode == 0
    assert {file for file in packages.left() if file.endswith("__init__.py")} == {
        "rows/one/__init__.py", "rows/two/__init__.py",
    }  # fmt: skip
    assert "rows/data/index" in packages.left()


def test_bytecode_is_of_all_modules(packages: Packages) -> None:
    packages.add("one.py", "")
    packages.add("rows/two.py", "")
    packages.add("template.py", "{{ no Python }}")
    assert packages.without("").returncode == 0
    assert packages.compiled() == {"one", "two", "test_rows"}


def test_bytecode_may_be_of_what_a_program_loads_alone(packages: Packages) -> None:
    packages.add("one.py", "import other")
    packages.add("other.py", "")
    packages.add("never.py", "")
    assert packages.without("[this]\nbytecode but of one", "this").returncode == 0
    assert packages.compiled() == {"one", "other"}


def test_a_library_without_its_symbols_is_smaller_and_does_the_same(packages: Packages) -> None:
    """PyYAML's wheels bring debugging sections."""
    yaml = pytest.importorskip("yaml")
    (library,) = Path(yaml.__file__).parent.glob("_yaml.*.so")
    copy = packages.folder / "yaml" / library.name
    copy.parent.mkdir()
    copy.write_bytes(library.read_bytes())
    ended = packages.without("[this]\nsymbols of yaml/*.so", "this")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert copy.stat().st_size < library.stat().st_size / 2

    for source in Path(yaml.__file__).parent.glob("*.py"):
        (copy.parent / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    code = "import yaml; print(yaml.load('a: [1, 2]', yaml.CSafeLoader), yaml._yaml.__file__)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(packages.folder), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (run.returncode, run.stdout) == (0, f"{{'a': [1, 2]}} {copy}\n"), run.stderr


def test_without_its_symbols_a_library_still_tells_tools_of_its_sections(packages: Packages) -> None:
    readelf = shutil.which("readelf") or pytest.skip("readelf is not installed (binutils)")
    yaml = pytest.importorskip("yaml")
    (library,) = Path(yaml.__file__).parent.glob("_yaml.*.so")
    copy = packages.folder / "rows" / "copy.so"
    copy.write_bytes(library.read_bytes())
    assert packages.without("[this]\nsymbols of rows/*.so", "this").returncode == 0
    told = [
        subprocess.run([readelf, "-W", "--dyn-syms", "--dynamic", file], capture_output=True, text=True, check=False)
        for file in (library, copy)
    ]
    assert told[1].stderr == ""
    assert "PyInit__yaml" in told[0].stdout
    assert told[0].stdout == told[1].stdout
    sections = subprocess.run([readelf, "-SW", copy], capture_output=True, text=True, check=True).stdout
    assert ".dynsym" in sections
    assert ".symtab" not in sections
    assert ".debug" not in sections


def test_what_is_no_library_stays_as_it_is(packages: Packages) -> None:
    assert packages.without("[this]\nsymbols of rows/x", "this").returncode == 0
    assert (packages.folder / "rows/x").read_text() == "no_code = True\n"

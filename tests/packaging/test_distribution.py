"""What is built for others to install: everything below one name, and the same from a checkout and from an sdist."""

import csv
import os
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Mapping
from email import message_from_string, policy
from email.message import Message
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from trove_classifiers import classifiers

from greenroom.protocol.version import __version__
from tests.conformance.packages import Packages, UnavailableError
from tests.support.stage import Stage

REPOSITORY: Final = Path(__file__).parents[2]
PACKAGE: Final = REPOSITORY / "src" / "greenroom"
DIRECTORIES: Final = sorted(path.name for path in PACKAGE.iterdir() if path.is_symlink())
"""The packages below `greenroom`, which are at the top of the repository too."""
DATA: Final = f"greenroom-{__version__}.data"
REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
_PIP: Final = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--retries=0", "--timeout=10")
_ANY_WHEEL: Final = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--dest=wheels")
SUPERVISOR: Final = Packages(
    name="supervisor",
    lock=REQUIREMENTS,
    command=(*_PIP, "download", *_ANY_WHEEL, "--requirement", str(REQUIREMENTS)),
)


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that is in the sdist."""
    (found,) = built.glob("*.tar.gz")
    target = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(found) as archive:
        archive.extractall(target, filter="data")
    return target / found.name.removesuffix(".tar.gz")


def build(source: Path, target: Path, *kinds: str) -> Path:
    """Build these kinds of distributions without isolation, so without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(target)]
    subprocess.run(
        [*command, *(argument for kind in kinds for argument in ("--target", kind))],
        cwd=source,
        env=clean_environment(),
        check=True,
        capture_output=True,
    )
    return target


def clean_environment() -> dict[str, str]:
    """Return the environment without what would give Python further directories to import from."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def contents(wheel: Path) -> Mapping[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def source_files(package: Path) -> set[str]:
    """Return the paths of all files of the package, through the links in it, from the directory that holds it."""
    return {
        os.path.relpath(os.path.join(directory, name), package.parent)
        for directory, _, names in os.walk(package, followlinks=True)
        if os.path.basename(directory) != "__pycache__"
        for name in names
    }


class TestWheel:
    def test_it_has_every_file_of_the_package_and_nothing_beside_its_metadata(self, wheel: Path) -> None:
        files = {name for name in contents(wheel) if name.startswith("greenroom/")}
        assert files - {"greenroom/commit"} == source_files(PACKAGE)

    def test_nothing_lies_outside_of_the_package_its_metadata_and_its_manual(self, wheel: Path) -> None:
        folders = {name.split("/")[0] for name in contents(wheel)}
        assert folders == {"greenroom", f"greenroom-{__version__}.dist-info", DATA}
        data = {name for name in contents(wheel) if name.startswith(DATA)}
        pages = {path.name for path in (REPOSITORY / "packaging" / "man" / "man1").iterdir()}
        assert data == {f"{DATA}/data/share/man/man1/{name}" for name in pages}

    @pytest.mark.parametrize(
        "file",
        [
            "py.typed",
            "config/models.toml",
            "config/texts/base_instructions.md",
            "config/texts/compaction.md",
            "supervisor/cli/dashboard/page/index.html",
            "supervisor/cli/dashboard/page/app.js",
            "supervisor/cli/dashboard/page/style.css",
            "supervisor/cli/dashboard/page/icon.svg",
        ],
    )
    def test_it_has_what_is_read_at_run_time(self, wheel: Path, file: str) -> None:
        assert f"greenroom/{file}" in contents(wheel)

    def test_it_installs_one_command(self, wheel: Path) -> None:
        text = contents(wheel)[f"greenroom-{__version__}.dist-info/entry_points.txt"].decode()
        assert text.split() == ["[console_scripts]", "greenroom", "=", "greenroom.supervisor.main:main"]


class TestMetadata:
    """What an index shows and an installer goes by."""

    def test_the_wheel_says_what_the_project_says(self, wheel: Path) -> None:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        written = contents(wheel)[f"greenroom-{__version__}.dist-info/METADATA"]
        told, description = metadata(written), written.decode().partition("\n\n")[2]
        assert (told["Name"], told["Version"]) == ("greenroom", __version__)
        assert told["Summary"] == project["description"]
        assert told["Requires-Python"] == project["requires-python"]
        assert told["License-Expression"] == project["license"]
        assert told["Description-Content-Type"] == "text/markdown"
        assert description == (REPOSITORY / "README.md").read_text("utf-8")
        wanted = [Requirement(text) for text in project["dependencies"]]
        plain = [one for text in told.get_all("Requires-Dist", []) if "extra ==" not in str(one := Requirement(text))]
        assert {*map(facts, plain)} == {*map(facts, wanted)}
        assert {*told.get_all("Provides-Extra", [])} == {*project["optional-dependencies"]}

    def test_its_classifiers_are_known_to_indexes(self, wheel: Path) -> None:
        told = metadata(contents(wheel)[f"greenroom-{__version__}.dist-info/METADATA"])
        assert [name for name in told.get_all("Classifier", []) if name not in classifiers] == []

    def test_the_sdist_says_the_same(self, wheel: Path, unpacked: Path) -> None:
        told = contents(wheel)[f"greenroom-{__version__}.dist-info/METADATA"]
        assert (unpacked / "PKG-INFO").read_bytes() == told


def facts(one: Requirement) -> tuple[str, str, str]:
    return canonicalize_name(one.name), str(one.specifier), str(one.marker)


def metadata(text: bytes) -> Message:
    return message_from_string(text.decode(), policy=policy.default)


class TestSdist:
    def test_its_wheel_is_the_wheel_of_the_checkout(self, wheel: Path, unpacked: Path, tmp_path: Path) -> None:
        (again,) = build(unpacked, tmp_path, "wheel").glob("*.whl")
        assert again.name == wheel.name
        assert contents(again) == contents(wheel)

    def test_it_has_what_its_configuration_names(self, unpacked: Path) -> None:
        configuration = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
        named = configuration["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
        assert [name for name in named if not (unpacked / name).exists()] == []

    def test_its_tests_are_those_of_the_checkout(self, unpacked: Path) -> None:
        assert source_files(unpacked / "tests") == source_files(REPOSITORY / "tests")


class Installation:
    """A new virtual environment, in which the packages of the environment of the tests can be imported."""

    def __init__(self, path: Path) -> None:
        venv.create(path, with_pip=False, symlinks=True)
        self.bin = path / "bin"
        variables = {"base": str(path), "platbase": str(path)}
        self.site = Path(sysconfig.get_path("purelib", "venv", vars=variables))
        # A directory that a .pth file names is not searched for .pth files: the editable installation is not seen.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def install(self, wheel: Path) -> None:
        python = str(self.bin / "python")
        words = ("--no-index", "--no-deps", "--no-compile")
        subprocess.run([*_PIP, "--python", python, "install", *words, wheel], check=True)

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of this environment outside of the repository, and return what it prints."""
        command = [str(self.bin / program), *arguments]
        done = subprocess.run(
            command, cwd=self.site, env=clean_environment(), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def files(self, distribution: str) -> set[str]:
        """Return the files that an installed distribution has, as its RECORD lists them."""
        (record,) = self.site.glob(f"{distribution}-*.dist-info/RECORD")
        with record.open(newline="") as lines:
            return {row[0] for row in csv.reader(lines)}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "venv")


class TestInstallation:
    @pytest.mark.parametrize("first", ["greenroom", "supervisor"])
    def test_it_starts_and_answers_alone_and_beside_the_distribution_supervisor(
        self, installation: Installation, wheel: Path, stage: Stage, first: str
    ) -> None:
        stage.play()
        if first == "greenroom":
            installation.install(wheel)
            assert_it_works(installation, stage)
        try:
            (other,) = (SUPERVISOR.installed() / "wheels").glob("supervisor-*.whl")
        except UnavailableError as error:
            pytest.skip(str(error))
        installation.install(other)
        if first == "supervisor":
            installation.install(wheel)
        assert not installation.files("greenroom") & installation.files("supervisor")
        assert_it_works(installation, stage)
        where = installation.run("python", "-c", "import supervisor; print(supervisor.__file__)")
        assert Path(where) == installation.site / "supervisor" / "__init__.py"


def assert_it_works(installation: Installation, stage: Stage) -> None:
    """Start the installed program, and see that it is the installed one that starts."""
    where = installation.run("python", "-c", "import greenroom; print(greenroom.__file__)")
    assert Path(where) == installation.site / "greenroom" / "__init__.py"
    assert installation.run("greenroom", "--version") == f"greenroom {__version__}"
    server = stage.start("mcp-server", program=[str(installation.bin / "greenroom")])
    assert server.client.initialize()["serverInfo"]["version"] == __version__


class TestBareNames:
    """The directories at the top of the repository are packages below `greenroom`, and under no other name."""

    def test_none_can_be_imported_outside_of_the_repository(self, tmp_path: Path) -> None:
        program = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
        command = [sys.executable, "-c", program]
        environment = clean_environment()
        found = subprocess.check_output([*command, *DIRECTORIES], cwd=tmp_path, env=environment, text=True)
        assert found.strip() == "[]"
        found = subprocess.check_output([*command, "greenroom"], cwd=tmp_path, env=environment, text=True)
        assert found.strip() == "['greenroom']"

    @pytest.mark.parametrize("directory", DIRECTORIES)
    def test_each_is_refused_by_the_linter(self, directory: str) -> None:
        source = f"import {directory}\nfrom {directory}.main import main\nfrom {directory} import main\n"
        assert lint(source) == 3

    def test_the_same_names_below_ours_are_not(self) -> None:
        assert lint("".join(f"from greenroom import {name}\nimport greenroom.{name}\n" for name in DIRECTORIES)) == 0


def lint(source: str) -> int:
    """Return how many imports of a module with this text the linter refuses."""
    ruff = str(Path(sys.executable).with_name("ruff"))
    command = [ruff, "check", "--select=TID251", "--output-format=concise", "--no-cache", "--stdin-filename=x.py", "-"]
    done = subprocess.run(command, cwd=REPOSITORY, input=source, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.count("TID251")

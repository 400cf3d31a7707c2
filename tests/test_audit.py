"""``make audit`` without its network: what it writes into the bill, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[1]
COMPOSE = """services:
  own: {image: "${OWN:-own:local}", build: {context: .}}
  one: {image: "${ONE:-registry.example.cn:5000/one:2}"}
  two: {image: "two:3-slim"}
  again: {image: "two:3-slim"}
"""
DOCKERFILE = "FROM base:1 AS build\nFROM build AS more\nFROM base:1\n"
# Put together here, so that this file holds none.
PLANTED = "AKIA" + "Q3VXW7ZT" + "4MNB2LKC"
PRIVATE = "RSA " + "PRIVATE KEY"


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", PROJECT / "requirements" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository of its own that ships one package of ours, under the project's own baseline."""
    for name in ("requirements", "docker"):
        (tmp_path / name).mkdir()
    (tmp_path / "requirements" / "lock.txt").write_text("pyyaml==6.0\n")
    (tmp_path / "docker-compose.yaml").write_text(COMPOSE)
    (tmp_path / "docker" / "Dockerfile").write_text(DOCKERFILE)
    baseline = json.loads((PROJECT / ".secrets.baseline").read_text(encoding="utf-8"))
    (tmp_path / ".secrets.baseline").write_text(json.dumps({**baseline, "results": {}}))
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    track(tmp_path)
    return tmp_path


def track(root: Path) -> None:
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)


@pytest.fixture
def install(
    root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """A function that installs an empty package with what it says of itself, and locks it."""

    def one(name: str, *said: str) -> None:
        site = tmp_path_factory.mktemp("site")
        about = site / f"{name}-1.0.dist-info" / "METADATA"
        about.parent.mkdir()
        lines = ("Metadata-Version: 2.4", f"Name: {name}", "Version: 1.0", *said)
        about.write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(site))
        with (root / "requirements" / "lock.txt").open("a") as lock:
            lock.write(f"{name}==1.0\n")

    return one


def test_what_is_planted_in_a_repository_is_refused(
    audit: ModuleType, root: Path, install: Callable[..., None]
) -> None:
    (root / "notes.txt").write_text(f"first\nkey = '{PLANTED}'\n-----BEGIN {PRIVATE}-----\n")
    assert audit.shipped(root) == []  # Nobody ships what is not tracked.
    track(root)
    install("planted", "License-Expression: GPL-3.0-only")
    (root / "docker" / "Dockerfile").write_text("FROM registry.example.cn:5000/base\n")
    image, licence, *secrets = audit.shipped(root)
    assert image == "an image without a tag: registry.example.cn:5000/base"
    assert licence == "GPL: planted"
    assert [one.split() for one in secrets] == [
        ["perhaps", "a", "secret:", "Location:", f"notes.txt:{line}"] for line in (2, 3)
    ]


@pytest.mark.parametrize(
    "said",
    [
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "License-Expression: AGPL-3.0-only",
        "License: GPLv2",
    ],
)
def test_a_package_under_the_gpl_is_refused(
    audit: ModuleType, root: Path, install: Callable[..., None], said: str
) -> None:
    install("planted", said)
    assert audit.copyleft(audit.licences(root)) == ["GPL: planted"]


@pytest.mark.parametrize("said", ["License-Expression: MIT OR GPL-3.0", "License: LGPLv3"])
def test_a_choice_and_the_lesser_gpl_are_not(
    audit: ModuleType, root: Path, install: Callable[..., None], said: str
) -> None:
    install("planted", said)
    assert ("planted", [said.split(": ", 1)[1]]) in [
        (name, [line for line in lines if line]) for name, lines in audit.licences(root)
    ]
    assert audit.copyleft(audit.licences(root)) == []


def test_the_bill_names_packages_and_the_images_that_are_fetched(
    audit: ModuleType, root: Path
) -> None:
    assert audit.bill(root) == []
    parts = json.loads((root / "build" / "sbom.json").read_text())["components"]
    assert {(part["type"], part["name"], part["version"]) for part in parts} == {
        ("library", "pyyaml", "6.0"),
        ("container", "base", "1"),
        ("container", "registry.example.cn:5000/one", "2"),
        ("container", "two", "3-slim"),
    }
    assert len({part["bom-ref"] for part in parts}) == len(parts)


def test_the_images_of_the_projects_own_files_are_in_a_valid_bill(
    audit: ModuleType, root: Path
) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    for name in ("docker-compose.yaml", "docker/Dockerfile"):
        shutil.copy2(PROJECT / name, root / name)
    assert audit.bill(root) == []
    content = (root / "build" / "sbom.json").read_text(encoding="utf-8")
    bill = json.loads(content)
    found = {part["name"] for part in bill["components"] if part["type"] == "container"}
    assert found == {
        "python",
        "postgres",
        "valkey/valkey",
        "chrislusf/seaweedfs",
        "axllent/mailpit",
    }
    version = SchemaVersion.from_version(bill["specVersion"])
    assert JsonStrictValidator(version).validate_str(content) is None

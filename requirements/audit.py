"""What is shipped: a bill of materials, licences, known holes, and no secret in the repository.

``make audit`` runs the four and writes ``build/sbom.json`` (CycloneDX): the packages of the lock
file and the images that the compose file and the image definition name. Holes are asked of the
package index by pip-audit; where its advisories cannot be reached, that is said and nothing else
is claimed. ``STRICT=1`` turns that into a failure, for a release.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path("requirements") / "lock.txt"
SBOM = Path("build") / "sbom.json"
BASELINE = ".secrets.baseline"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^\s\\;]+)", re.MULTILINE)
# GPL and AGPL, but not LGPL; of a choice ("MIT or GPL") the other licence is taken.
COPYLEFT = re.compile(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public License", re.IGNORECASE)
DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
FROM = re.compile(r"^FROM +(\S+)(?: +AS +(\S+))?", re.MULTILINE | re.IGNORECASE)
PERMISSIVE = re.compile(r"MIT|BSD|Apache|Artistic|MPL|PSF|ISC", re.IGNORECASE)


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment and return what it said."""
    tool = str(Path(sys.executable).with_name(words[0]))
    return subprocess.run([tool, *words[1:]], cwd=root, capture_output=True, text=True, check=False)


def pins(root: Path) -> dict[str, str]:
    """Return name and version of every package of the lock file."""
    return dict(PIN.findall((root / LOCK).read_text(encoding="utf-8")))


def bill(root: Path) -> list[str]:
    """Write the bill of materials; return what is wrong with it."""
    target = root / SBOM
    target.parent.mkdir(exist_ok=True)
    done = run(root, "cyclonedx-py", "requirements", str(LOCK), "--of", "JSON", "-o", str(target))
    if done.returncode:
        return ["the bill of materials could not be written"]
    whole = json.loads(target.read_text(encoding="utf-8"))
    found = {part["name"]: part.get("version") for part in whole["components"]}
    named = images(root)
    whole["components"] += [container(name, tag) for name, tag in named]
    target.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    missing = [name for name, wanted in pins(root).items() if found.get(name) != wanted]
    return [
        *(f"not in the bill: {name}" for name in missing),
        *(f"an image without a tag: {name}" for name, tag in named if not tag),
    ]


def images(root: Path) -> list[tuple[str, str]]:
    """Return name and tag of every image that is fetched; ours is built from the others."""
    compose = yaml.safe_load((root / "docker-compose.yaml").read_text(encoding="utf-8"))
    named = {
        DEFAULT.sub(r"\1", service["image"])
        for service in compose["services"].values()
        if "build" not in service
    }
    stages = FROM.findall((root / "docker" / "Dockerfile").read_text(encoding="utf-8"))
    named |= {image for image, _ in stages} - {stage for _, stage in stages}
    return sorted(split(image) for image in named)


def split(image: str) -> tuple[str, str]:
    """Return name and tag; the port of a registry is no tag."""
    name, _, tag = image.rpartition(":")
    return (image, "") if not name or "/" in tag else (name, tag)


def container(name: str, tag: str) -> dict[str, Any]:
    """Return an image as a component of the bill (package-url: type docker)."""
    address = f"pkg:docker/{name}@{tag}"
    about = {"type": "container", "bom-ref": address, "name": name, "version": tag}
    return {**about, "purl": address}


def copyleft(packages: Iterable[tuple[str, Iterable[str]]]) -> list[str]:
    """Return the packages that leave no choice but GPL or AGPL."""
    found = []
    for name, lines in packages:
        said = [line for line in lines if line]
        if any(COPYLEFT.search(line) for line in said) and not any(
            PERMISSIVE.search(line) for line in said
        ):
            found.append(f"GPL: {name}")
    return found


def licences(root: Path) -> list[tuple[str, list[str]]]:
    """Return what every installed package of the lock file says of its licence."""
    found = []
    for name in pins(root):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        classified = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
        short = [about.get("License-Expression") or "", (about.get("License") or "")[:80]]
        found.append((name, [*classified, *short]))
    return found


def secrets(root: Path) -> list[str]:
    """Return the files that hold something like a secret which nobody reviewed."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    looked = [f for f in files if f and f not in (LOCK.as_posix(), BASELINE)]
    done = run(root, "detect-secrets-hook", "--baseline", BASELINE, *looked)
    # 3: known findings stand on other lines now, and the baseline was brought up to date.
    if done.returncode in (0, 3):
        return []
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("Location:")]
    return [f"perhaps a secret: {line}" for line in lines] or ["the scan for secrets failed"]


def holes(root: Path) -> tuple[list[str], int]:
    """Return known holes, and how many packages nobody could look up."""
    done = run(
        root,
        "pip-audit",
        "-r",
        str(LOCK),
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
    )
    try:
        parts = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        return [], len(pins(root))
    open_ = [f"{p['name']} {p['version']}: {v['id']}" for p in parts for v in p.get("vulns", [])]
    return open_, sum("skip_reason" in part for part in parts)


def shipped(root: Path) -> list[str]:
    """Return what is wrong with what ``root`` ships, as far as that is seen without a network."""
    return [*bill(root), *copyleft(licences(root)), *secrets(root)]


def main() -> int:
    """Run all and return 1 when something is wrong."""
    wrong = shipped(ROOT)
    known, unknown = holes(ROOT)
    wrong += known
    total = len(pins(ROOT))
    print(f"{total} packages, {len(images(ROOT))} images; bill of materials: {SBOM}")  # noqa: T201
    if unknown:
        print(f"known holes: {unknown} of {total} packages could not be looked up from here")  # noqa: T201
        wrong += ["not every package was looked up"] if os.environ.get("STRICT") else []
    for line in wrong:
        print(f"✗ {line}")  # noqa: T201
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

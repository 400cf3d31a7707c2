"""What is shipped: a bill of materials, licences, known holes, and no secret in the repository.

``make audit`` runs the four and writes ``build/sbom.json`` (CycloneDX). Holes are asked of the
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

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "lock.txt"
SBOM = ROOT / "build" / "sbom.json"
BASELINE = ROOT / ".secrets.baseline"
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ \\;]+)", re.MULTILINE)
# GPL and AGPL, but not LGPL; of a choice ("MIT or GPL") the other licence is taken.
COPYLEFT = re.compile(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public License", re.IGNORECASE)
PERMISSIVE = re.compile(r"MIT|BSD|Apache|Artistic|MPL|PSF|ISC", re.IGNORECASE)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment and return what it said."""
    tool = str(Path(sys.executable).with_name(words[0]))
    return subprocess.run([tool, *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)


def pins() -> dict[str, str]:
    """Return name and version of every package of the lock file."""
    return dict(PIN.findall(LOCK.read_text(encoding="utf-8")))


def bill() -> list[str]:
    """Write the bill of materials; return what is wrong with it."""
    SBOM.parent.mkdir(exist_ok=True)
    done = run("cyclonedx-py", "requirements", str(LOCK), "--of", "JSON", "-o", str(SBOM))
    if done.returncode:
        return ["the bill of materials could not be written"]
    parts = json.loads(SBOM.read_text(encoding="utf-8"))["components"]
    found = {part["name"]: part.get("version") for part in parts}
    return [
        f"not in the bill: {name}" for name, wanted in pins().items() if found.get(name) != wanted
    ]


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


def licences() -> list[tuple[str, list[str]]]:
    """Return what every installed package of the lock file says of its licence."""
    found = []
    for name in pins():
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue
        classified = [c for c in about.get_all("Classifier") or [] if c.startswith("License")]
        short = [about.get("License-Expression") or "", (about.get("License") or "")[:80]]
        found.append((name, [*classified, *short]))
    return found


def secrets() -> list[str]:
    """Return the files that hold something like a secret which nobody reviewed."""
    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    looked = [f for f in files if f and f not in ("requirements/lock.txt", BASELINE.name)]
    done = run("detect-secrets-hook", "--baseline", str(BASELINE), *looked)
    # 3: known findings stand on other lines now, and the baseline was brought up to date.
    if done.returncode in (0, 3):
        return []
    lines = [line.strip() for line in done.stdout.splitlines() if line.startswith("Location:")]
    return [f"perhaps a secret: {line}" for line in lines] or ["the scan for secrets failed"]


def holes() -> tuple[list[str], int]:
    """Return known holes, and how many packages nobody could look up."""
    done = run(
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
        return [], len(pins())
    open_ = [f"{p['name']} {p['version']}: {v['id']}" for p in parts for v in p.get("vulns", [])]
    return open_, sum("skip_reason" in part for part in parts)


def main() -> int:
    """Run all and return 1 when something is wrong."""
    wrong = [*bill(), *copyleft(licences()), *secrets()]
    known, unknown = holes()
    wrong += known
    total = len(pins())
    print(f"{total} packages; bill of materials: {SBOM.relative_to(ROOT)}")  # noqa: T201
    if unknown:
        print(f"known holes: {unknown} of {total} packages could not be looked up from here")  # noqa: T201
        wrong += ["not every package was looked up"] if os.environ.get("STRICT") else []
    for line in wrong:
        print(f"✗ {line}")  # noqa: T201
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

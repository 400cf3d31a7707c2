"""Who can open a person's record at all: found in the source, not promised."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import safehands

PACKAGE = Path(str(files(safehands)))

# Each module that decrypts a sealed record, and why it must. Only ``vault.reveal`` hands a value
# to its caller; the others put it back sealed, or count and digest it.
OPENERS = {
    "keys.ring": "defines it",
    "handover.sending": "puts numbers into a file sealed for the gateway",
    "pseudonymise.vault": "compares the name and merges what is newer into the record",
    "pseudonymise.corrected": "compares the name a row shows with a corrected person's",
    "pseudonymise.load": "compares a slip of a waiting parcel with what the file says",
    "pseudonymise.undated": "sees whether an undated row says anything new",
    "purge.actions": "masks what is past its time",
    "rights.gather": "finds the rows in quarantine that show a name the person has or had",
    "store.digest": "compares two stores by a keyed digest",
    "transfer.known": "compares the name with that of the buyer's holder of the number",
    "transfer.readback": "compares what the buyer wrote with the package",
    "transfer.receive_delta": "sees whether the seller corrected a record since it was packaged",
    "transfer.rows": "opens who moves, for the sealed package alone",
    "vault.contacts": "the bulk door: files for recipients and notices of incidents",
    "vault.correct": "puts a field right",
    "vault.reveal": "the one door",
    "vault.slips": "the same door for what waits for a person",
}
UPKEEP = {
    "rights.locate": "says where a person is, and no value",
    "store.digest": "compares two stores",
    "transfer.cutover": "erases and restricts what the seller held",
    "transfer.evidence_bundle": "keeps the seller's proof of everybody who was listed",
    "transfer.receipt": "counts them in the identity",
    "transfer.receive": "knows a restricted person again, so that they are not added anew",
    "transfer.receive_delta": "the same, for what changed since the package",
    "transfer.stocktake": "lists every parcel that waits, whoever it waits for",
    "transfer.waiting": "counts the parcels that must be collected or returned first",
    "handover.opening": "counts who stays because they are stored only",
}
"""Modules that see restricted people; rotation, erasure and restore are named by their packages."""

UPKEEP_PACKAGES = ("rotation", "erasure", "restore", "store")
OPENING_PACKAGES = ("rotation",)

NIGHT = (
    "pipeline",
    "steps",
    "cli",
    "ingest",
    "validate",
    "minimise",
    "pseudonymise",
    "purge",
    "backup",
    "report",
    "show",
    "status",
)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def calls(tree: ast.Module, method: str) -> bool:
    return any(
        isinstance(node, ast.Call) and getattr(node.func, "attr", "") == method
        for node in ast.walk(tree)
    )


def ring_opened(tree: ast.Module) -> bool:
    """Say whether ``….unseal(kind, owners, salts, sealed)`` is called: a day box takes one list."""
    return any(
        isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "unseal"
        and len(node.args) + len(node.keywords) == 4
        for node in ast.walk(tree)
    )


def test_only_named_modules_open_a_record() -> None:
    found = {
        name
        for name, tree in modules()
        if ring_opened(tree) and not name.startswith(OPENING_PACKAGES)
    }
    assert found == set(OPENERS) - {"keys.ring"}


def test_only_upkeep_sees_restricted_people() -> None:
    found = set()
    for name, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "storage":
                found.add(name)
    assert {name for name in found if not name.startswith(UPKEEP_PACKAGES)} <= set(UPKEEP)
    assert set(UPKEEP) <= found


def test_only_the_door_gives_a_value_to_its_caller() -> None:
    """Of the modules that open records, no public function but ``reveal`` returns a text of one."""
    shown: dict[str, list[str]] = {}
    for name, tree in modules():
        if name in OPENERS and name != "keys.ring":
            for node in tree.body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    returns = ast.unparse(node.returns) if node.returns else "None"
                    shown.setdefault(name, []).append(returns)
    harmless = {
        "None",
        "int",
        "bool",
        "str",
        "dict[str, int]",
        "pa.Table",
        "Array",
        "Vault",
        "Tables",
        # Tables as they came in, with subject ids in place of some numbers.
        "Corrected",
        "bytes | None",
        # Ids, lookups and positions.
        "People",
        # An age file for the gateway and how many lines it has.
        "Sealed",
    }
    assert shown.pop("vault.reveal") == ["Revealed"]
    assert shown.pop("vault.contacts") == ["dict[UUID, Record]"]
    assert shown.pop("vault.slips") == ["dict[UUID, dict[str, str]]"]
    # Everything about one person, for the answer to that person's own request.
    assert shown.pop("rights.gather") == ["Held", "dict[UUID, list[WaitingRow]]"]
    # Bodies of receipts: counts and digests, which are signed and kept.
    assert set(shown.pop("transfer.receive_delta")) == {"dict[str, Any]"}
    # The other door: whole tables for the sealed package of a hand-over, slips for its stock-take.
    # Its one text is the digest of a shard's rows.
    assert shown.pop("transfer.rows") == [
        "int",
        "int",
        "None",
        "str",
        "dict[str, pa.Table]",
        "pa.Table",
    ]
    assert {r for found in shown.values() for r in found} - harmless == set()
    # The one text is the store digest, in hex.
    assert [name for name, found in shown.items() if "str" in found] == ["store.digest"]


def test_nothing_in_the_night_imports_the_door() -> None:
    graph = {name: _imports(tree) for name, tree in modules()}
    reached: set[str] = set()
    waiting = [name for name in graph if name.split(".")[0] in NIGHT]
    assert "pipeline" in waiting
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in graph.get(name, ()) if other not in reached]
    assert "vault.record" in reached
    assert "vault.reveal" not in reached
    assert "vault.slips" not in reached
    assert "transfer.rows" not in reached
    assert "vault.contacts" not in reached
    assert "vault.correct" not in reached


def test_one_command_and_the_answer_to_a_request_import_the_door() -> None:
    wanted = {name for name, tree in modules() if "vault.reveal" in _imports(tree, lazy=True)}
    assert wanted == {"commands.vault", "rights.gather"}
    bulk = {name for name, tree in modules() if "vault.contacts" in _imports(tree, lazy=True)}
    assert bulk == {"incidents.drafts", "sharing.plan"}


def _imports(tree: ast.Module, lazy: bool = False) -> set[str]:
    """Return the modules of the package that a module imports; at its top, or anywhere."""
    found: set[str] = set()
    for node in ast.walk(tree) if lazy else _top(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("safehands"):
            base = (node.module or "").removeprefix("safehands").lstrip(".")
            names = [alias.name for alias in node.names]
            found.update([base, *(f"{base}.{name}".lstrip(".") for name in names)])
    # A module of a package runs the package's own file first.
    return {part for name in found for part in _parents(name)} - {""}


def _top(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.col_offset == 0:
            yield node


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def test_only_what_a_hand_over_seals_and_lists_reads_whole_tables() -> None:
    wanted = {name for name, tree in modules() if "transfer.rows" in _imports(tree, lazy=True)}
    assert wanted == {
        "transfer.package",
        "transfer.shards",
        # These two take only the size of a shard from it.
        "transfer.order",
        "transfer.run",
        "transfer.delta",
        "transfer.stocktake",
    }

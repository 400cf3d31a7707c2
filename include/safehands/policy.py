"""Policy as data: what each field is, why it is handled, how long it is kept.

The YAML files in ``include/policy`` are read into frozen models and checked against each other
when they are loaded, so that a purpose nobody declared or a retention rule that does not exist
stops the night before a file is opened (PIPL 6, 13, 19, 51(2)).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError

from safehands.errors import PolicyError
from safehands.schedule import (
    Action,
    ClockRules,
    Elsewhere,
    Frozen,
    HoldRules,
    Label,
    RestrictionReason,
    RetentionRule,
    RevealRules,
)
from safehands.sourcepolicy import IGNORE, SourcePolicy, confirmed_digest, load_sources

__all__ = [
    "ClockRules",
    "CodeList",
    "Dataset",
    "Elsewhere",
    "FieldRule",
    "HoldRules",
    "Label",
    "Policy",
    "Purpose",
    "RestrictionReason",
    "RetentionRule",
    "RevealRules",
    "Sources",
    "load_policy",
]

Treatment = Literal[
    "link",
    "seal",
    "district",
    "token",
    "custody",
    "code",
    "band",
    "tags",
    "time",
    "consent",
    "drop",
]
CellType = Literal[
    "waybill",
    "phone",
    "name",
    "address",
    "text",
    "time",
    "weight",
    "money",
    "code",
    "flag",
    "count",
]


class FieldRule(Frozen):
    """What one field of one dataset is and what happens to it.

    ``tells``: what of a child under fourteen the door learns from a field that is then dropped.
    """

    type: CellType
    codes: str | None = None
    label: Label
    category: Literal["basic", "transaction", "preference", "staff", "third_person"]
    sensitive: bool
    grade: Annotated[int, Field(ge=1, le=4)]
    purposes: tuple[str, ...]
    keep_for: str
    treatment: Treatment
    tells: Literal["birth", "id", "guardian"] | None = None


class Dataset(Frozen):
    """A kind of table that stations export."""

    label: Label
    owner: str
    required: tuple[str, ...]
    any_of: tuple[str, ...] = ()
    fields: dict[str, FieldRule]


class Purpose(Frozen):
    """Why a field is handled, with its item of PIPL 13 ¶1."""

    label: Label
    basis: Annotated[int, Field(ge=1, le=7)]
    article: str


class Code(Frozen):
    """One entry of a closed list."""

    name: str
    label: Label
    words: tuple[str, ...]


class CodeList(Frozen):
    """A closed list: number → entry."""

    entries: dict[int, Code]

    @cached_property
    def by_word(self) -> dict[str, int]:
        """Map a case-folded word to its number."""
        return {w.casefold(): n for n, code in self.entries.items() for w in code.words}

    def label(self, number: int, lang: str) -> str:
        """Return the label of ``number``; unknown numbers read as entry 0."""
        entry = self.entries.get(number) or self.entries[0]
        return str(getattr(entry.label, lang))


class Sources(Frozen):
    """What stations call their columns (header wording → field, per dataset)."""

    max_title_rows: int
    aliases: dict[str, dict[str, tuple[str, ...]]]
    ambiguous: dict[str, dict[str, str]]


class Policy(Frozen):
    """Everything the night needs to know about the data.

    ``digest`` is that of the whole, ``base`` that of what holds for every station. What one station
    confirmed about its headers counts only for the files it concerns: see ``digest_for``.
    """

    datasets: dict[str, Dataset]
    purposes: dict[str, Purpose]
    retention: dict[str, RetentionRule]
    elsewhere: dict[str, Elsewhere]
    holds: HoldRules
    restrictions: dict[str, RestrictionReason]
    reveals: RevealRules
    clock: ClockRules
    reissue_after_days: int
    waybill_reuse_days: int
    codes: dict[str, CodeList]
    sources: Sources
    divisions: tuple[tuple[int, str, str, str], ...] = Field(repr=False)
    mappings: tuple[SourcePolicy, ...] = ()
    base: str
    digest: str

    @property
    def consent_purposes(self) -> tuple[str, ...]:
        """Purposes that rest on consent and for which a field is kept (PIPL 13 ¶1(1))."""
        used = {p for d in self.datasets.values() for f in d.fields.values() for p in f.purposes}
        return tuple(n for n, one in self.purposes.items() if one.basis == 1 and n in used)

    def digest_for(self, station: str, headers: Collection[str]) -> str:
        """Return the digest of what decides how a file with these headers is read.

        ``headers``: fingerprints of the tables that were found in it. It changes with ``base``,
        and with what ``station`` confirmed for one of them.
        """
        own = [m for m in self.mappings if m.station == station and m.fingerprint in headers]
        return self._with(own, "read")

    def digest_of_waiting(self, station: str) -> str:
        """Return the digest of what decides that a file of ``station`` waits.

        Any confirmation of the station may be for it, since it is in no known table.
        """
        return self._with([m for m in self.mappings if m.station == station], "waits")

    def _with(self, own: Sequence[SourcePolicy], what: str) -> str:
        if not own:
            return self.base
        facts = f"{what} {self.base} ".encode() + confirmed_digest(own)
        return hashlib.sha256(facts).hexdigest()

    def keep_days(self, rule: str) -> int:
        """Return the days of a retention rule."""
        return self.retention[rule].keep_days


def load_policy(folder: Path, mappings: Path | None = None) -> Policy:
    """Read and cross-check the policy in ``folder`` and the confirmed ones in ``mappings``.

    Raises ``PolicyError`` naming the file and the entry that is wrong.
    """
    raw = {name: _read(folder / f"{name}.yaml") for name in _FILES}
    sources = load_sources(mappings)
    try:
        divisions = _divisions(folder / "divisions.csv")
        base = _digest(folder, b"")
        digest = _digest(folder, confirmed_digest(sources))
        policy = _build(raw, divisions, sources, base, digest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PolicyError("policy.invalid", where=where, why=first["type"]) from None
    _cross_check(policy)
    return policy


_FILES = ("fields", "purposes", "retention", "codes", "sources")
# What purge knows how to do, and with which actions: a rule that is missing, or that nobody
# applies, must not pass silently.
_RULES: dict[str, frozenset[Action]] = {
    "pickup_record": frozenset({"delete", "anonymise"}),
    "never_collected": frozenset({"delete", "anonymise"}),
    "exception_record": frozenset({"delete", "restrict"}),
    "parcel_month": frozenset({"drop_partition"}),
    "contact_detail": frozenset({"mask"}),
    "custody_detail": frozenset({"delete"}),
    "idle_preference": frozenset({"delete"}),
    "person_without_parcels": frozenset({"delete"}),
    "quarantine": frozenset({"destroy_key"}),
    "quarantined_minor": frozenset({"destroy_key"}),
    "landing_archive": frozenset({"destroy_key"}),
    "processing_record": frozenset({"delete"}),
    "risk_record": frozenset({"delete"}),
    "access_record": frozenset({"delete"}),
}


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise PolicyError("policy.unreadable", file=path.name) from None
    if not isinstance(loaded, dict):
        raise PolicyError("policy.unreadable", file=path.name)
    return loaded


def _build(
    raw: dict[str, dict[str, Any]],
    divisions: tuple[tuple[int, str, str, str], ...],
    mappings: tuple[SourcePolicy, ...],
    base: str,
    digest: str,
) -> Policy:
    sources = {k: v for k, v in raw["sources"].items() if k != "version"}
    return Policy.model_validate(
        {
            "datasets": raw["fields"].get("datasets"),
            "purposes": raw["purposes"].get("purposes"),
            "retention": raw["retention"].get("rules"),
            "elsewhere": raw["retention"].get("elsewhere"),
            "holds": raw["retention"].get("holds"),
            "restrictions": raw["retention"].get("restrictions"),
            "reveals": raw["retention"].get("reveals"),
            "clock": raw["retention"].get("clock"),
            "reissue_after_days": raw["retention"].get("reissue_after_days"),
            "waybill_reuse_days": raw["retention"].get("waybill_reuse_days"),
            "codes": _entries(raw["codes"].get("codes")),
            "sources": sources,
            "divisions": divisions,
            "mappings": mappings,
            "base": base,
            "digest": digest,
        }
    )


def _entries(codes: Any) -> Any:
    return {k: {"entries": v} for k, v in codes.items()} if isinstance(codes, dict) else codes


def _divisions(path: Path) -> tuple[tuple[int, str, str, str], ...]:
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = tuple(
                (int(row["code"]), row["province"], row["city"], row["district"])
                for row in csv.DictReader(handle)
            )
    except (OSError, ValueError, KeyError, csv.Error):
        rows = ()
    if not rows:
        raise PolicyError("policy.unreadable_divisions", file=path.name)
    return rows


def _digest(folder: Path, confirmed: bytes) -> str:
    digest = hashlib.sha256(confirmed)
    for name in (*(f"{n}.yaml" for n in _FILES), "divisions.csv", "streets.csv"):
        digest.update(name.encode())
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _cross_check(policy: Policy) -> None:
    for dataset_name, dataset in policy.datasets.items():
        for missing in {*dataset.required, *dataset.any_of} - dataset.fields.keys():
            raise PolicyError("policy.unknown_name", where=dataset_name, name=missing)
        for name, rule in dataset.fields.items():
            _check_field(policy, f"{dataset_name}.{name}", rule)
    for rule_name in sorted(_RULES ^ policy.retention.keys()):
        key = "policy.unknown_rule" if rule_name in policy.retention else "policy.missing_rule"
        raise PolicyError(key, name=rule_name)
    for rule_name, retention in policy.retention.items():
        restricts = retention.action == "restrict"
        if retention.action not in _RULES[rule_name] or restricts != bool(retention.then_days):
            raise PolicyError("policy.retention_action", name=rule_name, action=retention.action)
    for dataset_name, aliases in policy.sources.aliases.items():
        _check_sources(policy, dataset_name, set(aliases))
    for dataset_name, wordings in policy.sources.ambiguous.items():
        _check_sources(policy, dataset_name, set(wordings.values()))
    for mapping in policy.mappings:
        fields = {rule.field for rule in mapping.columns.values()}
        _check_sources(policy, mapping.dataset, fields - {IGNORE})


def _check_sources(policy: Policy, dataset_name: str, names: set[str]) -> None:
    if dataset_name not in policy.datasets:
        raise PolicyError("policy.unknown_name", where="sources", name=dataset_name)
    known = policy.datasets[dataset_name].fields.keys() | _NOT_FIELDS
    for name in sorted(names - known):
        raise PolicyError("policy.unlabelled", where=f"sources.{dataset_name}", name=name)


# Parts of an address, and one cell that holds a person's name, phone and address together.
_NOT_FIELDS = {"province", "city", "district", "street", "recipient"}


def _check_field(policy: Policy, where: str, rule: FieldRule) -> None:
    for purpose in rule.purposes:
        if purpose not in policy.purposes:
            raise PolicyError("policy.unknown_name", where=where, name=purpose)
    if rule.keep_for not in policy.retention:
        raise PolicyError("policy.unknown_name", where=where, name=rule.keep_for)
    if rule.codes is not None and rule.codes not in policy.codes:
        raise PolicyError("policy.unknown_name", where=where, name=rule.codes)
    if bool(rule.purposes) == (rule.treatment == "drop"):
        raise PolicyError("policy.purpose_and_drop", where=where)
    if rule.tells is not None and rule.treatment != "drop":
        raise PolicyError("policy.purpose_and_drop", where=where)

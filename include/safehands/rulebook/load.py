"""Read the rule book and check it against itself: a wrong block is refused by its rule's name."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

from safehands.errors import PolicyError
from safehands.organisation.catalogue import Organisation, load_organisation
from safehands.organisation.files import checked, read_yaml
from safehands.rulebook.model import (
    BINDS,
    AnyOf,
    Check,
    Edition,
    FigureKind,
    Law,
    Rule,
    RuleBook,
    Watched,
)
from safehands.rulebook.names import measure_exists

__all__ = ["load_rulebook"]

_LAWS, _FIGURES = "laws.yaml", "figures.yaml"
_ORDER = ("memory", "secondary", "text")


def load_rulebook(folder: Path) -> RuleBook:
    """Read ``rulebook/*.yaml`` in the policy ``folder``.

    Raises ``PolicyError`` naming file, rule and key, when a block is not of the schema, a rule
    stands twice, a cited law is unknown or not in force, an edition runs across a renumbering, a
    confidence is better than its law's, or a check names a measure that doesn't exist.
    """
    place = folder / "rulebook"
    files = sorted(place.glob("*.yaml"))
    raw = {path.name: read_yaml(path) for path in files}
    if not {_LAWS, _FIGURES} <= raw.keys():
        raise PolicyError("policy.unreadable", file=f"rulebook/{_LAWS}")
    laws = _section(raw[_LAWS], "laws", Law, _LAWS)
    figures = _section(raw[_FIGURES], "figures", FigureKind, _FIGURES)
    watch = tuple(checked(Watched, w, _LAWS, "watch") for w in raw[_LAWS].get("watch", ()))
    rules: dict[str, Rule] = {}
    organisation = load_organisation(folder)
    for name, content in raw.items():
        if name not in (_LAWS, _FIGURES):
            for key, block in _section(content, "rules", Rule, name).items():
                if key in rules:
                    raise PolicyError("organisation.twice", file=name, name=key)
                _check_rule(name, key, block, laws, figures, organisation)
                rules[key] = block
    digest = hashlib.sha256(b"".join(hashlib.sha256(p.read_bytes()).digest() for p in files))
    return RuleBook(rules, laws, figures, watch, digest.hexdigest())


def _section(content: dict[str, Any], name: str, model: Any, file: str) -> dict[str, Any]:
    """Return the mapping ``name`` of a file with each block as ``model``."""
    blocks = content.get(name)
    strange = sorted(content.keys() - {name, "watch"})
    if not isinstance(blocks, dict) or strange:
        raise PolicyError("policy.unreadable", file=file)
    return {str(key): checked(model, block, file, str(key)) for key, block in blocks.items()}


def _check_rule(
    file: str,
    name: str,
    rule: Rule,
    laws: dict[str, Law],
    figures: dict[str, FigureKind],
    organisation: Organisation,
) -> None:
    def refuse(where: str, why: str) -> PolicyError:
        return PolicyError("organisation.invalid", file=file, block=name, where=where, why=why)

    for edition in rule.editions:
        why = _wrong_edition(edition, laws)
        if why:
            raise refuse(f"editions {edition.from_}", why)
    items = [*rule.check, *(item for edition in rule.editions for item in edition.check)]
    for check in (c for i in items for c in (i.any if isinstance(i, AnyOf) else (i,))):
        why = _wrong_check(check, rule)
        if why:
            raise refuse(f"check {check.measure}", why)
    for measure in _measures(rule, items):
        if not measure_exists(measure, organisation, figures):
            raise refuse(f"check {measure}", "there is no such measure")
    if rule.reviewed < max(edition.from_ for edition in rule.editions) and len(rule.editions) > 1:
        raise refuse("reviewed", "the newest edition begins after the review")


def _wrong_edition(edition: Edition, laws: dict[str, Law]) -> str:
    """Return what is wrong with an edition, or nothing."""
    for cite in edition.cited:
        law = laws.get(cite.law)
        if law is None:
            return f"{cite.law} is not in {_LAWS}"
        starts = [version.in_force for version in law.versions]
        if edition.from_ < starts[0]:
            return f"{cite.law} is not in force before {starts[0]}"
        across = [day for day in starts if edition.from_ < day and _reaches(edition, day)]
        if across:
            return f"{cite.law} was renumbered on {across[0]}: begin a new edition that day"
        if _ORDER.index(edition.confidence) > _ORDER.index(law.confidence):
            return f"confidence is better than that of {cite.law} ({law.confidence})"
    return ""


def _reaches(edition: Edition, day: date) -> bool:
    return edition.until is None or edition.until >= day


def _wrong_check(check: Check, rule: Rule) -> str:
    if check.kind == "L" and rule.duty == "P":
        return "a duty of policy can't have a number of law"
    return ""


def _measures(rule: Rule, items: list[Check | AnyOf]) -> list[str]:
    """Return every measure that a rule's checks and conditions name."""
    checks = [c for item in items for c in (item.any if isinstance(item, AnyOf) else (item,))]
    conditions = [*rule.applies, *(c for check in checks for c in check.when)]
    conditions += [condition for who in rule.binds for condition in BINDS[who]]
    parts = [part for condition in conditions for part in condition.split("|")]
    named = [part.split(":")[1] for part in parts if not part.startswith("occasion:")]
    return [*(check.measure for check in checks), *named]

"""What an export's columns seem to be, by header and by value: a proposal for its owner.

Nothing here is loaded. The nightly run reads what policy's wordings say and the cells confirm, or
what an owner confirmed; everything else waits, and this says what it looks like.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from safehands.ingest.detect import Seen, contradicts, look, own_kinds, words_of
from safehands.ingest.detect.digits import unusual
from safehands.ingest.detect.kinds import PHONES, Words
from safehands.ingest.find import PARTS, RECIPIENT, candidates, clean_header
from safehands.ingest.mapping import fingerprint, nameless_fingerprint
from safehands.ingest.normalise.names import looks_like_name
from safehands.ingest.tables import Line, letter
from safehands.policy import FieldRule, Policy
from safehands.sourcepolicy import IGNORE, ColumnRule, SourcePolicy

__all__ = ["Column", "Proposal", "check_fields", "missing_fields", "propose"]

_HEADER_ALONE = 0.6
"""Confidence of a known wording over cells that say nothing of their own."""
_VALUES_ALONE = 0.8
"""The most that cells without a known wording can earn: two columns may hold the same kind."""
_SURE = 0.5
_LABEL_SHARE = 0.6
_PERSONAL = {*PHONES, "id_number", "name", "address", "recipient", "waybill", "time", "pickup_code"}
_BY_VALUE: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "parcels": (
        ("waybill_no", ("waybill",)),
        ("receiver_phone", ("mobile", "masked_phone", "landline")),
        ("receiver_name", ("name",)),
        ("receiver_address", ("address",)),
        ("recipient", ("recipient",)),
        ("pickup_code", ("pickup_code",)),
        ("shelf", ("shelf",)),
        ("carrier", ("carrier",)),
        ("status", ("status",)),
        ("arrived_at", ("time", "date_digits")),
        ("collected_at", ("time", "date_digits")),
        ("weight", ("weight",)),
        ("freight", ("money",)),
        ("id_number", ("id_number",)),
    ),
    "customers": (
        ("receiver_phone", ("mobile", "landline")),
        ("receiver_name", ("name",)),
        ("receiver_address", ("address",)),
        ("recipient", ("recipient",)),
        ("updated_at", ("time", "date_digits")),
        ("id_number", ("id_number",)),
    ),
    "preferences": (
        ("receiver_phone", ("mobile",)),
        ("receiver_name", ("name",)),
        ("notify_channel", ("choice",)),
        ("delivery_choice", ("choice",)),
        ("marketing", ("flag",)),
        ("updated_at", ("time", "date_digits")),
    ),
}


@dataclass(frozen=True)
class Column:
    """One column of a proposal.

    ``header``: its wording where a known one or plain words; a wording that may itself be a
    person's data is not shown. ``field``: what is proposed, ``ignore`` where nothing is.
    ``by``: ``both``, ``header``, ``values``, ``nothing`` or ``conflict``: then header and cells
    disagree, ``field`` is ``ignore`` and ``header_field`` says what the header claims.
    """

    column: str
    header: str
    field: str
    header_field: str
    by: str
    seen: str
    confidence: float
    share: float
    filled: int
    patterns: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Proposal:
    """What a table seems to be. ``missing``: required fields that no column is proposed for.

    ``unusual_waybills``: numbers among the ``rows_seen`` that are no known carrier's.
    """

    dataset: str
    header: bool
    header_row: int
    fingerprint: str
    columns: tuple[Column, ...]
    missing: tuple[str, ...]
    rows_seen: int = 0
    unusual_waybills: int = 0

    @property
    def conflicts(self) -> tuple[Column, ...]:
        """The columns whose header and cells disagree."""
        return tuple(column for column in self.columns if column.by == "conflict")

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data, without any cell."""
        return asdict(self)

    def source_policy(self, station: str, fields: Mapping[str, str]) -> SourcePolicy:
        """Return the proposal as a source policy, unconfirmed; ``fields`` correct it by letter."""
        rules = {
            c.column: ColumnRule(
                field=fields.get(c.column, c.field),
                header=c.header,
                seen=c.seen,
                confidence=round(c.confidence, 2),
            )
            for c in self.columns
        }
        return SourcePolicy(
            station=station,
            fingerprint=self.fingerprint,
            dataset=self.dataset,
            header=self.header,
            columns=rules,
        )


def propose(head: Sequence[Line], policy: Policy, dataset: str = "") -> Proposal:
    """Propose what the columns of a table are, from its first records.

    ``dataset`` decides which kind of table it is; empty: the one that most columns speak for.
    """
    words = words_of(policy.codes)
    at = _header_of(head, policy, words)
    body = head[at + 1 :] if at >= 0 else head
    width = max((len(line.cells) for line in head), default=0)
    cells = [[line.cells[i] for line in body if i < len(line.cells)] for i in range(width)]
    seen = [look(column, words) for column in cells]
    names = _wordings(head[at], width) if at >= 0 else [""] * width
    found = [
        _columns(name, names, cells, seen, policy, words)
        for name in ([dataset] if dataset else policy.datasets)
    ]
    best = max(found, key=lambda one: _rank(one, policy))
    name, columns = best
    known = {c.field for c in columns}
    return Proposal(
        dataset=name,
        header=at >= 0,
        header_row=head[at].row if at >= 0 else 0,
        fingerprint=fingerprint(names) if at >= 0 else nameless_fingerprint(head),
        columns=columns,
        missing=_missing(name, known, policy),
        rows_seen=len(body),
        unusual_waybills=sum(
            unusual(texts)
            for column, texts in zip(columns, cells, strict=True)
            if column.field == "waybill_no"
        ),
    )


def _wordings(line: Line, width: int) -> list[str]:
    names = [clean_header(cell) for cell in line.cells]
    return names + [""] * (width - len(names))


def _header_of(head: Sequence[Line], policy: Policy, words: Words) -> int:
    """Return where the header is: most known wordings, else the first row of labels; -1: none."""
    known = {
        clean_header(w) for d in policy.sources.aliases.values() for ws in d.values() for w in ws
    }
    known |= {clean_header(w) for ws in policy.sources.ambiguous.values() for w in ws}
    rows = candidates(head, policy)
    hits = {i: sum(clean_header(cell) in known for cell in head[i].cells) for i in rows}
    best = max(rows, key=lambda i: (hits[i], -i), default=-1)
    if best >= 0 and hits[best]:
        return best
    usual = Counter(len(line.cells) for line in head).most_common(1)
    wide = [i for i in rows if usual and len(head[i].cells) >= usual[0][0]]
    return next((i for i in wide[:1] if _is_labels(head[i], words)), -1)


def _is_labels(line: Line, words: Words) -> bool:
    """Say whether a row can be a header: short labels, all different, no cell that is data."""
    filled = [cell for cell in line.cells if cell.strip()]
    if len(filled) < _LABEL_SHARE * len(line.cells) or len(set(filled)) < len(filled):
        return False
    kinds = [look([cell], words).kind for cell in filled]
    return all(kind in {"text", "empty", "name"} for kind in kinds) and "text" in kinds


def _columns(
    dataset: str,
    names: Sequence[str],
    cells: Sequence[list[str]],
    seen: Sequence[Seen],
    policy: Policy,
    words: Words,
) -> tuple[str, tuple[Column, ...]]:
    rules = policy.datasets[dataset].fields
    claims = _claims(dataset, names, policy)
    made: dict[int, Column] = {}
    for i, claim in claims.items():
        made[i] = _by_header(i, claim, names[i], cells[i], seen[i], rules.get(claim), words)
    taken = {c.field for c in made.values()}
    for i, column in _by_values(dataset, names, seen, set(made), taken, cells).items():
        made[i] = column
    every = [made.get(i) or _unread(i, names[i], seen[i]) for i in range(len(names))]
    return dataset, tuple(every)


def _claims(dataset: str, names: Sequence[str], policy: Policy) -> dict[int, str]:
    aliases = policy.sources.aliases.get(dataset, {})
    index = {clean_header(word): name for name, words in aliases.items() for word in words}
    doubtful = {clean_header(w): f for w, f in policy.sources.ambiguous.get(dataset, {}).items()}
    plain = {i: index[name] for i, name in enumerate(names) if name in index}
    rest = {
        i: doubtful[name]
        for i, name in enumerate(names)
        if i not in plain and name in doubtful and doubtful[name] not in plain.values()
    }
    return plain | rest


def _by_header(
    position: int,
    claim: str,
    name: str,
    cells: list[str],
    seen: Seen,
    rule: FieldRule | None,
    words: Words,
) -> Column:
    own = own_kinds(claim, rule)
    agreed = sum(seen.shares.get(kind, 0.0) for kind in own)
    clash = rule is not None and contradicts(claim, rule, cells, words) is not None
    if clash or (own and seen.cells >= 5 and agreed == 0.0 and seen.kind in _PERSONAL):
        return _made(position, name, IGNORE, claim, "conflict", seen, 0.0)
    confidence = 1 - (1 - _HEADER_ALONE) * (1 - (agreed * seen.confidence / max(seen.share, 0.01)))
    by = "both" if agreed >= _SURE else "header"
    return _made(position, name, claim, claim, by, seen, min(confidence, 0.99))


def _by_values(
    dataset: str,
    names: Sequence[str],
    seen: Sequence[Seen],
    done: set[int],
    taken: set[str],
    cells: Sequence[list[str]],
) -> dict[int, Column]:
    made: dict[int, Column] = {}
    for name, kinds in _BY_VALUE.get(dataset, ()):
        free = [
            i
            for i, one in enumerate(seen)
            if i not in done and i not in made and one.kind in kinds and one.share >= _SURE
        ]
        if name in taken or not free:
            continue
        best = max(free, key=lambda i: _fitness(name, seen[i], cells[i], i))
        rivals = sum(seen[i].share >= 0.9 * seen[best].share for i in free)
        alone = _VALUES_ALONE if rivals == 1 or name.endswith("_at") else _VALUES_ALONE / 2
        confidence = alone * seen[best].confidence
        made[best] = _made(best, names[best], name, "", "values", seen[best], confidence)
    return made


def _fitness(name: str, seen: Seen, cells: list[str], position: int) -> tuple[float, float, int]:
    """Rank the columns of one kind: a parcel arrives once, is collected later and maybe never."""
    filled = sum(1 for cell in cells if cell.strip()) / max(len(cells), 1)
    unique = seen.distinct / max(seen.cells, 1)
    if name == "waybill_no":
        return (round(unique, 1), filled, -position)
    return (round(seen.share, 1), filled, -position)


def _unread(position: int, name: str, seen: Seen) -> Column:
    return _made(position, name, IGNORE, "", "nothing", seen, 0.0)


def _made(
    position: int, name: str, field_: str, claim: str, by: str, seen: Seen, confidence: float
) -> Column:
    shown = name if claim or _is_plain(name) else ""
    return Column(
        column=letter(position),
        header=shown,
        field=field_,
        header_field=claim,
        by=by,
        seen=seen.kind,
        confidence=confidence,
        share=seen.share,
        filled=seen.cells,
        patterns=seen.patterns,
    )


def _is_plain(name: str) -> bool:
    """Say whether an unknown wording can be shown: short, without digits, and no person's name."""
    return len(name) <= 12 and not any(c.isdigit() for c in name) and not looks_like_name(name)


def _rank(found: tuple[str, tuple[Column, ...]], policy: Policy) -> tuple[bool, int, float]:
    name, columns = found
    known = {c.field for c in columns} | {c.header_field for c in columns}
    missing = _missing(name, known, policy)
    headed = sum(bool(c.header_field) for c in columns)
    read = sum(c.confidence for c in columns if c.field != IGNORE)
    return not missing, headed, read


def _missing(dataset: str, known: set[str], policy: Policy) -> tuple[str, ...]:
    rules = policy.datasets[dataset]
    if RECIPIENT in known:
        known = known | {"receiver_name", "receiver_phone", "receiver_address"}
    missing = tuple(name for name in rules.required if name not in known)
    if rules.any_of and known.isdisjoint(rules.any_of):
        missing += ("|".join(rules.any_of),)
    return missing


_ALLOWED = frozenset({*PARTS, RECIPIENT, IGNORE})


def check_fields(dataset: str, fields: Mapping[str, str], policy: Policy) -> str:
    """Return the first name in ``fields`` that is no field of ``dataset``, or nothing."""
    known = policy.datasets[dataset].fields.keys() | _ALLOWED
    return next((name for name in fields.values() if name not in known), "")


def missing_fields(source: SourcePolicy, policy: Policy) -> tuple[str, ...]:
    """Return the required fields that a source policy names no column for."""
    return _missing(source.dataset, {rule.field for rule in source.columns.values()}, policy)

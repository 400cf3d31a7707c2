"""Print a night for a person: steps, what was set aside and why, quality, where things lie."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from safehands.errors import SafehandsError
from safehands.evidence import Aside, NightEvidence, StepRow, read_night
from safehands.installation import Installation
from safehands.messages import catalogue, say
from safehands.pipeline import STEPS, Head
from safehands.rotation.state import escrow_holds

__all__ = ["night", "problem", "rule_text"]

_SET_ASIDE = (
    "quarantined",
    "set_aside",
    "expired",
    "unlinked",
    "duplicates",
    "erased_before",
    "restricted_before",
    "skipped",
)
_PURGED = ("purge", "prove")
_WIDE = 130


def night(inst: Installation, head: Head, lang: str, console: Console) -> None:
    """Print the evidence of one night in ``lang``."""
    evidence = read_night(inst, head.business_date)
    day = head.business_date.isoformat()
    console.rule(say("show.title", lang, date=day))
    console.print(_steps(evidence, lang))
    if evidence.aside:
        console.print(_aside(evidence.aside, lang, console.width))
        for line in [say("show.advice", lang), *_advice(evidence.aside, lang), ""]:
            console.print(line, highlight=False, soft_wrap=True)
    console.print(_quality(evidence, lang))
    for line in _closing(inst, head, evidence, lang):
        console.print(line, highlight=False, soft_wrap=True)


def problem(error: SafehandsError, lang: str, console: Console) -> None:
    """Print one error in ``lang``, marked as such."""
    console.print(f"✗ {error.say(lang)}", style="bold red", highlight=False, soft_wrap=True)


def rule_text(dataset: str, rule: str, lang: str) -> str:
    """Return the sentence of a rule, or the rule's id when it has none."""
    known = catalogue()
    for key in (f"rule.{rule}", f"rule.{dataset}.{rule}", f"ingest.rule.{rule}"):
        if key in known:
            return known[key][lang]
    return rule


def _steps(evidence: NightEvidence, lang: str) -> Table:
    heads = ("step", "in", "out", "set_aside", "seconds")
    table = Table(*(say(f"show.{name}", lang) for name in heads), title=say("show.steps", lang))
    for column in table.columns[1:]:
        column.justify = "right"
    table.columns[3].justify = "left"
    by_name = {row.step: row for row in evidence.steps}
    for name in STEPS:
        if name in by_name:
            table.add_row(*_step(by_name[name], lang))
    return table


def _step(row: StepRow, lang: str) -> tuple[str, ...]:
    counts = row.counts
    shown = _SET_ASIDE if row.step not in _PURGED else tuple(counts)
    parts = [f"{_word(name, lang)} {counts[name]:,}" for name in shown if counts.get(name)]
    into, out = _number(counts, ("in",)), _number(counts, ("out", "rows", "parcels"))
    seconds = f"{row.seconds:.1f}"
    return (say(f"step.{row.step}", lang), into, out, ", ".join(parts) or "–", seconds)


def _number(counts: dict[str, int], names: tuple[str, ...]) -> str:
    return next((f"{counts[name]:,}" for name in names if name in counts), "–")


def _word(name: str, lang: str) -> str:
    key = f"count.{name}"
    return catalogue()[key][lang] if key in catalogue() else name


def _aside(rows: list[Aside], lang: str, width: int) -> Table:
    """Return the table of quarantine; on a narrow screen the first row numbers alone."""
    heads = ("file", "sheet", "column", "rule", "rows", "which")
    wide = width >= _WIDE
    shown = heads if wide else ("column", "rule", "rows", "which")
    table = Table(*(say(f"show.{name}", lang) for name in shown), title=say("show.aside", lang))
    file = ""
    for row in rows:
        place = f"{row.file} {row.sheet}".strip()
        if place != file:
            table.add_section()
            if not wide:
                table.add_row("", f"[bold]{place}[/bold]", "", "")
        numbers = _numbers(row, 6 if wide else 2)
        cells = (row.column or "–", row.rule, f"{row.count:,}", numbers)
        first = (row.file if place != file else "", row.sheet or "–")
        table.add_row(*((*first, *cells) if wide else cells))
        file = place
    return table


def _numbers(row: Aside, most: int) -> str:
    more = " …" if row.count > min(most, len(row.rows)) else ""
    return ", ".join(str(n) for n in row.rows[:most]) + more


def _advice(rows: list[Aside], lang: str) -> list[str]:
    """Return what to do about each rule, once."""
    rules = {row.rule: rule_text(row.dataset, row.rule, lang) for row in rows}
    return [f"  {rule} — {sentence}" for rule, sentence in sorted(rules.items())]


def _quality(evidence: NightEvidence, lang: str) -> Table:
    dimensions = ("completeness", "validity", "uniqueness", "consistency", "timeliness")
    heads = [say("show.station", lang), *(say(f"quality.{d}", lang) for d in dimensions)]
    table = Table(*heads, title=say("show.quality", lang))
    for column in table.columns[1:]:
        column.justify = "right"
    scores: dict[str, dict[str, str]] = {}
    for station, dimension, evaluated, failed in evidence.quality:
        scores.setdefault(station, {})[dimension] = _score(evaluated, failed)
    for station, row in scores.items():
        table.add_row(station, *(row.get(d, "–") for d in dimensions))
    return table


def _score(evaluated: int, failed: int) -> str:
    # Rounded down: a station with one bad row in ten thousand does not read "100 %".
    return f"{int(10_000 * (1 - failed / evaluated)) / 100:.2f} %" if evaluated else "–"


def _closing(inst: Installation, head: Head, evidence: NightEvidence, lang: str) -> list[str]:
    settings, lines = inst.settings, []
    if evidence.backup:
        manifest, facts = evidence.backup
        objects = f"{facts.get('parts', 0)}"
        lines.append(say("show.backup", lang, manifest=manifest, objects=objects))
    if evidence.checkpoint:
        size, root = evidence.checkpoint.splitlines()[1:3]
        lines.append(say("show.ledger", lang, size=size, root=root))
    report = settings.reports / head.business_date.isoformat() / "report.html"
    if report.exists():
        lines.append(say("show.report", lang, path=str(report)))
    lines.append(say("show.clear_text", lang, folder=str(settings.landing)))
    if not escrow_holds(inst.store):
        lines.append(say("show.escrow", lang, folder=str(settings.keys)))
    for owner, dataset in evidence.unknown_roles:
        lines.append(say("show.unknown_role", lang, owner=owner, dataset=dataset))
    return lines

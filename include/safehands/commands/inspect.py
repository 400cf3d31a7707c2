"""``safehands inspect FILE``: what the columns of an export are, as a source policy to confirm."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.errors import BadInput, PolicyError
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.datasets import SourceFile
    from safehands.ingest.propose import Proposal
    from safehands.policy import Policy
    from safehands.sourcepolicy import SourcePolicy

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command ``inspect``."""
    return leaf(
        "inspect",
        lang,
        "inspect.help",
        _inspect,
        click.Argument(["file"], type=click.Path(exists=True, dir_okay=False)),
        click.Option(["--station"], default="", help=say("inspect.station", lang), metavar="CODE"),
        click.Option(["--dataset"], default="", help=say("inspect.dataset", lang), metavar="NAME"),
        click.Option(["--sheet"], default="", help=say("inspect.sheet", lang), metavar="NAME"),
        click.Option(
            ["--set", "corrections"],
            multiple=True,
            help=say("inspect.set", lang),
            metavar="COLUMN=FIELD",
        ),
        click.Option(["--confirm"], is_flag=True, help=say("inspect.confirm", lang)),
        json_option(lang),
    )


def _inspect(
    call: Call,
    file: str,
    station: str,
    dataset: str,
    sheet: str,
    corrections: tuple[str, ...],
    confirm: bool,
    as_json: bool,
) -> None:
    from safehands.policy import load_policy
    from safehands.sourcepolicy import earlier, write

    policy = load_policy(call.settings.policy)
    if dataset and dataset not in policy.datasets:
        raise PolicyError("inspect.unknown_dataset", names=", ".join(policy.datasets))
    path = Path(file).absolute()
    owner = _station(call, policy, path, station)
    proposal = _proposed(call, policy, path, dataset, sheet)
    fields = _corrections(proposal, corrections, policy)
    before = earlier(proposal.source_policy(owner, {}), call.settings.mappings) if owner else None
    # What somebody has settled already is where this begins, not what it overwrites.
    kept = {c: r.field for c, r in before.columns.items()} if before else {}
    source = proposal.source_policy(owner, kept | fields)
    if confirm:
        source = _confirmed(source, policy, call)
    elif before is not None and before.confirmed and not fields:
        source = before
    target = write(source, call.settings.mappings) if owner else None
    if as_json:
        click.echo(json.dumps(_as_dict(proposal, source, target), ensure_ascii=False))
    else:
        _show(call, proposal, source, target, policy)


def _station(call: Call, policy: Policy, path: Path, given: str) -> str:
    """Return the code of the station whose export ``path`` is; empty where nobody says."""
    from safehands.stations import load_register

    try:
        register = load_register(call.settings.landing, tuple(policy.datasets))
    except PolicyError:
        if given:
            raise
        return ""
    stations = {s.code: s for c in register.controllers for s in c.stations}
    if given:
        if given not in stations:
            raise PolicyError("inspect.unknown_station", names=", ".join(sorted(stations)))
        return given
    landing = call.settings.landing.resolve()
    at = {code: (landing / s.folder).resolve() for code, s in stations.items()}
    inside = [code for code, folder in at.items() if path.resolve().is_relative_to(folder)]
    deepest = max(inside, key=lambda code: len(at[code].parts), default="")
    return deepest or (next(iter(stations)) if len(stations) == 1 else "")


def _proposed(call: Call, policy: Policy, path: Path, dataset: str, sheet: str) -> Proposal:
    """Return the proposal for the table of ``path`` that most columns speak for."""
    from safehands.errors import EmptyFile, UnknownHeader, WrongEncoding
    from safehands.ingest.limits import Limits
    from safehands.ingest.propose import propose
    from safehands.ingest.readers import attempts

    source = _source(path)
    refused: BadInput | None = None
    for opener in attempts(path.parent, source, Limits.of(call.settings)):
        try:
            tables = [t for t in opener().tables if t.head and sheet in {"", t.sheet}]
        except (WrongEncoding, UnknownHeader) as problem:
            refused = refused or problem
            continue
        found = [propose(table.head, policy, dataset) for table in tables]
        if found:
            return max(found, key=lambda p: (not p.missing, sum(c.confidence for c in p.columns)))
        refused = refused or EmptyFile("ingest.empty", file=source.label)
    raise refused or EmptyFile("ingest.empty", file=source.label)


def _source(path: Path) -> SourceFile:
    from safehands.datasets import SourceFile

    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return SourceFile("", path.name, path.stat().st_size, digest)


def _corrections(
    proposal: Proposal, corrections: tuple[str, ...], policy: Policy
) -> dict[str, str]:
    from safehands.ingest.propose import check_fields

    pairs = [text.partition("=") for text in corrections]
    fields = {column.strip().upper(): name.strip() for column, _, name in pairs}
    letters = {column.column for column in proposal.columns}
    if not set(fields) <= letters:
        raise PolicyError("inspect.unknown_column", columns=", ".join(sorted(letters)))
    if check_fields(proposal.dataset, fields, policy):
        names = ", ".join(policy.datasets[proposal.dataset].fields)
        raise PolicyError("inspect.unknown_field", names=names)
    return fields


def _confirmed(source: SourcePolicy, policy: Policy, call: Call) -> SourcePolicy:
    """Return ``source`` confirmed today; raises ``PolicyError`` when it can't be read by."""
    from safehands.ingest.propose import missing_fields

    if not source.station:
        raise PolicyError("inspect.whose")
    missing = missing_fields(source, policy)
    if missing:
        raise PolicyError("inspect.missing", missing=", ".join(missing), dataset=source.dataset)
    return source.model_copy(update={"confirmed": True, "confirmed_on": call.day.isoformat()})


def _as_dict(proposal: Proposal, source: SourcePolicy, target: Path | None) -> dict[str, object]:
    return {
        **proposal.as_dict(),
        "station": source.station,
        "fields": {column: rule.field for column, rule in source.columns.items()},
        "confirmed": source.confirmed,
        "written": str(target) if target else "",
    }


def _show(
    call: Call, proposal: Proposal, source: SourcePolicy, target: Path | None, policy: Policy
) -> None:
    from safehands.ingest.detect import shown

    label = getattr(policy.datasets[proposal.dataset].label, call.settings.lang)
    row = proposal.header_row or call.say("inspect.no_header")
    call.line(call.say("inspect.table", dataset=label, row=row, rows=proposal.rows_seen))
    for column in proposal.columns:
        rule = source.columns[column.column]
        kind = call.say(f"kind.{column.seen}")
        sure = f"{round(100 * column.confidence)} %" if column.confidence else "-"
        field = _named(rule.field, proposal, policy, call)
        call.line(
            f"{column.column:>3}  {column.header or '·'}  →  {field}"
            f"  {sure}  [{call.say(f'inspect.by.{column.by}')}; {kind}: {shown(column.patterns)}]"
        )
    for column in proposal.conflicts:
        claim = _named(column.header_field, proposal, policy, call)
        seen = call.say(f"kind.{column.seen}")
        call.line(call.say("inspect.conflict", column=column.column, claim=claim, seen=seen))
    if proposal.unusual_waybills:
        call.line(call.say("inspect.unusual", count=proposal.unusual_waybills))
    if proposal.missing:
        call.line(call.say("inspect.not_found", missing=", ".join(proposal.missing)))
    if target is None:
        call.line(call.say("inspect.not_written"))
    elif source.confirmed:
        call.line(call.say("inspect.is_confirmed", file=str(target), station=source.station))
    else:
        call.line(call.say("inspect.written", file=str(target), station=source.station))


def _named(field: str, proposal: Proposal, policy: Policy, call: Call) -> str:
    rule = policy.datasets[proposal.dataset].fields.get(field)
    if rule is None:
        return call.say(f"inspect.field.{field}")
    return f"{getattr(rule.label, call.settings.lang)} ({field})"

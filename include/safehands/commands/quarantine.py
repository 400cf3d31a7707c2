"""``safehands quarantine``: what waits for a person, and how it is worked off."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf, now
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.quarantine import WaitingRow

__all__ = ["command"]

_SHOWN = 20


def command(lang: str) -> click.Group:
    """Return the group with its help in ``lang``."""
    group = click.Group("quarantine", help=say("quarantine.help", lang))
    narrow = (_option("--station", "station", lang), _option("--rule", "rule", lang))
    officer = (_needed("--owner", "owner", lang), _needed("--by", "by", lang))
    one = click.Argument(["row"], type=int)
    rows = click.Argument(["rows"], type=int, nargs=-1)
    group.add_command(leaf("list", lang, "quarantine.list", _list, *narrow, json_option(lang)))
    purpose = _needed("--purpose", "purpose", lang)
    group.add_command(leaf("show", lang, "quarantine.show", _show, one, *officer, purpose))
    group.add_command(leaf("retry", lang, "quarantine.retry", _retry, *narrow, json_option(lang)))
    why = (_needed("--reason", "reason", lang), _needed("--by", "by", lang))
    everything = click.Option(["--all", "whole"], is_flag=True, help=say("quarantine.all", lang))
    group.add_command(
        leaf("discard", lang, "quarantine.discard", _discard, rows, *narrow, *why, everything)
    )
    return group


def _option(name: str, key: str, lang: str) -> click.Parameter:
    return click.Option([name], help=say(f"quarantine.option.{key}", lang))


def _needed(name: str, key: str, lang: str) -> click.Parameter:
    return click.Option([name], required=True, help=say(f"quarantine.option.{key}", lang))


def _list(call: Call, station: str | None, rule: str | None, as_json: bool) -> None:
    from safehands.quarantine import listed

    with call.installation() as inst:
        rows = listed(inst.store, station=station, rule=rule)
    if as_json:
        click.echo(json.dumps([_plain(row) for row in rows], ensure_ascii=False))
        return
    if not rows:
        call.line(call.say("quarantine.nothing"))
        return
    for (where, file, reason), group in _grouped(rows).items():
        call.line(
            call.say(
                "quarantine.group", station=where, file=file, rule=_rule(call, reason), n=len(group)
            )
        )
        for row in group[:_SHOWN]:
            sheet = row.sheet or "-"
            column = row.column or "-"
            call.line(
                call.say("quarantine.row", id=row.id, sheet=sheet, row=row.row, column=column)
            )
        if len(group) > _SHOWN:
            call.line(call.say("quarantine.more", n=len(group) - _SHOWN))
    call.line(call.say("quarantine.total", n=len(rows)))


def _rule(call: Call, rule: str) -> str:
    try:
        return call.say(f"rule.{rule}")
    except KeyError:
        return rule


def _grouped(rows: list[WaitingRow]) -> dict[tuple[str, str, str], list[WaitingRow]]:
    groups: dict[tuple[str, str, str], list[WaitingRow]] = {}
    for row in rows:
        groups.setdefault((row.station, row.file, row.rule), []).append(row)
    return groups


def _plain(row: WaitingRow) -> dict[str, Any]:
    return {**vars(row), "day": row.day.isoformat()}


def _show(call: Call, row: int, owner: str, by: str, purpose: str) -> None:
    from safehands.quarantine import show
    from safehands.vault.access import Access

    with call.installation() as inst:
        found = show(inst.store, inst.policy, Access(owner, by, purpose), row, now())
    place = found.row
    call.line(
        call.say(
            "quarantine.shown",
            id=place.id,
            station=place.station,
            file=place.file,
            sheet=place.sheet or "-",
            row=place.row,
            rule=_rule(call, place.rule),
            column=place.column or "-",
        )
    )
    for name, cell in found.cells.items():
        call.line(f"  {name}: {cell}")
    call.line(call.say("quarantine.recorded"))


def _retry(call: Call, station: str | None, rule: str | None, as_json: bool) -> None:
    from safehands.quarantine import retry

    with call.installation() as inst, click.progressbar(length=1, hidden=as_json) as bar:
        found = retry(inst, call.day, station=station, rule=rule, tell=_moving(bar))
    if as_json:
        click.echo(json.dumps(vars(found)))
        return
    call.line(call.say("quarantine.retried", **vars(found)))
    if found.unreadable:
        call.line(call.say("quarantine.unreadable", n=found.unreadable))
    if found.lost:
        call.line(call.say("quarantine.lost", n=found.lost))


def _moving(bar: Any) -> Callable[[int, int], None]:
    def tell(done: int, whole: int) -> None:
        bar.length = whole
        bar.update(done - bar.pos)

    return tell


def _discard(
    call: Call,
    rows: tuple[int, ...],
    station: str | None,
    rule: str | None,
    reason: str,
    by: str,
    whole: bool,
) -> None:
    from safehands.quarantine import discard, listed

    if not (rows or station or rule or whole):
        raise click.UsageError(call.say("quarantine.discard_what"))
    with call.installation() as inst:
        chosen = listed(inst.store, station=station, rule=rule)
        if rows:
            chosen = [row for row in chosen if row.id in set(rows)]
        gone = discard(inst.store, chosen, reason, by, now())
    counts = Counter(row.rule for row in chosen)
    rules = ", ".join(f"{rule} {n}" for rule, n in sorted(counts.items())) or "-"
    call.line(call.say("quarantine.discarded", n=gone, rules=rules))

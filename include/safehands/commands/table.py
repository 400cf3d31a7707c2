"""``safehands table FILE --out FILE.parquet``: what the reader alone finds in any file at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.ingest.survey import Survey

__all__ = ["command"]

_SHOWN = 20


def command(lang: str) -> click.Command:
    """Return the command ``table``."""
    path = click.Path(dir_okay=False)
    return leaf(
        "table",
        lang,
        "cli.table",
        _table,
        click.Argument(["file"], type=click.Path(exists=True, dir_okay=False)),
        click.Option(["--out"], type=path, help=say("cli.table.out", lang), metavar="FILE.parquet"),
        click.Option(["--sheet"], default="", help=say("cli.table.sheet", lang), metavar="NAME"),
        click.Option(["--hidden"], is_flag=True, help=say("cli.table.hidden", lang)),
        json_option(lang),
    )


def _table(call: Call, file: str, out: str | None, sheet: str, hidden: bool, as_json: bool) -> None:
    from safehands.ingest.limits import Limits
    from safehands.ingest.survey import survey

    target = Path(out) if out else None
    found = survey(Path(file), target, Limits.of(call.settings), sheet, hidden)
    if as_json:
        click.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        _show(call, found)


def _show(call: Call, found: Survey) -> None:
    facts = found.facts
    call.line(call.say("cli.table.file", file=found.file, format=found.format))
    if facts.get("encoding"):
        call.line(call.say("cli.table.encoding", encoding=facts["encoding"]))
    if facts.get("delimiter") is not None:
        delimiter = facts["delimiter"] or call.say("cli.table.no_delimiter")
        shown = {"\t": call.say("cli.table.tab")}.get(delimiter, delimiter)
        call.line(call.say("cli.table.dialect", delimiter=shown, quote=facts["quote"]))
    if facts.get("sheet"):
        call.line(call.say("cli.table.sheet_read", sheet=facts["sheet"]))
    if facts.get("hidden_sheets"):
        call.line(call.say("cli.table.hidden_sheets", count=len(facts["hidden_sheets"])))
    header = facts["header_row"] or call.say("cli.table.none")
    call.line(call.say("cli.table.header", row=header))
    call.line(call.say("cli.table.columns", count=len(found.columns)))
    for column in found.columns:
        call.line(f"  {column['letter']:>3}  {column['name']}  ({column['type']})")
    call.line(call.say("cli.table.rows", count=found.rows))
    _show_rows(call, "cli.table.refused", found.refused)
    _show_rows(call, "cli.table.skipped", found.skipped)
    for notice in found.notices:
        columns = " ".join(notice.get("columns", [])) or notice.get("column", "")
        text = call.say(f"cli.table.notice.{notice['notice']}")
        call.line(f"! {text} {columns} {notice.get('count', '')}".rstrip())


def _show_rows(call: Call, key: str, rows: list[dict[str, int | str]]) -> None:
    if not rows:
        return
    call.line(call.say(key, count=len(rows)))
    for row in rows[:_SHOWN]:
        reason = call.say(f"cli.table.reason.{row['reason']}")
        width = f" ({row['cells']}/{row['expected']})" if "cells" in row else ""
        call.line(
            "  " + call.say("cli.table.line", line=row.get("line", row["row"])) + reason + width
        )
    if len(rows) > _SHOWN:
        call.line("  …")

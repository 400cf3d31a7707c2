"""``safehands risk``: the re-identification figures of any CSV or Parquet file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf
from safehands.errors import PolicyError
from safehands.messages import say

if TYPE_CHECKING:
    import pyarrow as pa

    from safehands.risk import Assumptions
    from safehands.risk.reach import HierarchyMaker

__all__ = ["command"]

_THRESHOLD = 5.0


def command(lang: str) -> click.Command:
    """Return the command ``risk``."""
    return leaf("risk", lang, "risk.cli.command", _risk, *_params(lang))


def _params(lang: str) -> Iterable[click.Parameter]:
    def option(name: str, key: str, **rest: Any) -> click.Option:
        return click.Option([f"--{name}", *rest.pop("to", ())], help=say(key, lang), **rest)

    columns, number = {"metavar": "A,B"}, {"type": float}
    yield click.Argument(["file"], type=click.Path())
    yield option("quasi", "risk.cli.quasi", required=True, metavar="A,B,C")
    yield option("sensitive", "risk.cli.sensitive", **columns)
    yield option("weight", "risk.cli.weight", metavar="W")
    yield option("id", "risk.cli.id", to=["person"], metavar="P")
    yield option("codes", "risk.cli.codes", **columns)
    yield option("register", "risk.cli.register", metavar="FILE")
    yield option("population", "risk.cli.population", type=click.IntRange(min=1))
    yield option("fraction", "risk.cli.fraction", **number)
    yield option("threshold", "risk.cli.threshold", default=_THRESHOLD, **number)
    yield option("missing", "risk.cli.missing", type=_words("category", "wildcard", "drop"))
    yield option("release", "risk.cli.release", type=_words("public", "controlled", "enclave"))
    yield option("deliberate", "risk.cli.t1", **number)
    yield option("inadvertent", "risk.cli.t2", **number)
    yield option("breach", "risk.cli.t3", **number)
    yield option("recursive-l", "risk.cli.recursive_l", type=click.IntRange(min=1))
    yield option("recursive-c", "risk.cli.recursive_c", **number)
    yield option("no-suda", "risk.cli.no_suda", is_flag=True)
    yield option("no-combinations", "risk.cli.no_combinations", is_flag=True)
    yield json_option(lang)
    yield option("reach", "risk.cli.reach", type=click.IntRange(min=1), metavar="K")
    yield option("out", "risk.cli.out", metavar="FILE")
    yield option("hierarchy", "risk.cli.hierarchy", multiple=True, metavar="FILE")
    yield option("limit", "risk.cli.limit", type=click.FloatRange(0, 1), default=0.05)
    yield option("local", "risk.cli.local", **columns)
    yield option("no-generalise", "risk.cli.no_generalise", is_flag=True)
    yield option("keep", "risk.cli.keep", **columns)


def _words(*words: str) -> click.Choice[str]:
    return click.Choice(words)


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _risk(call: Call, file: str, as_json: bool, **given: Any) -> None:
    if (given["reach"] is None) != (given["out"] is None):
        raise click.UsageError(call.say("risk.cli.reach_needs_out"))
    quasi = _names(given["quasi"])
    if not quasi:
        raise PolicyError("risk.no_quasi")
    table = _table(file, quasi, given)
    if given["reach"] is None:
        _report(call, table, quasi, given, as_json)
    else:
        _reach(call, file, table, quasi, given, as_json)


def _table(file: str, quasi: list[str], given: dict[str, Any]) -> pa.Table:
    from safehands.risk import read_table

    named = [given["weight"], given["person"], *_names(given["sensitive"]), *_names(given["keep"])]
    columns = [*quasi, *(name for name in named if name)]
    return read_table(Path(file), columns, text=_as_written(given))


def _as_written(given: dict[str, Any]) -> set[str]:
    return {*_names(given["codes"]), *([given["person"]] if given["person"] else [])}


def _report(
    call: Call, table: pa.Table, quasi: list[str], given: dict[str, Any], as_json: bool
) -> None:
    from safehands.commands import risk_view
    from safehands.risk import assess, read_table

    assumed, skipped = _assumptions(quasi, given)
    register = given["register"]
    found = assess(
        table,
        quasi,
        _names(given["sensitive"]),
        given["weight"],
        person=given["person"],
        register=None
        if register is None
        else read_table(Path(register), quasi, text=_as_written(given)),
        assumptions=assumed,
    )
    if as_json:
        _json({**found.as_dict(), "skipped": sorted(skipped)})
        return
    risk_view.report(call, found)
    for name, limit in sorted(skipped.items()):
        call.line(call.say(f"risk.cli.skipped_{name}", limit=limit))
    call.line(call.say("risk.cli.closing"))


def _assumptions(quasi: list[str], given: dict[str, Any]) -> tuple[Assumptions, dict[str, int]]:
    """Return the assumptions, and what too many columns leave out: part → its limit."""
    from safehands.risk import Assumptions, separation, suda

    limits = {"combinations": separation.MAX_COLUMNS, "suda": suda.MAX_COLUMNS}
    skipped = {name: limit for name, limit in limits.items() if len(quasi) > limit}
    passed = ("population", "missing", "release", "deliberate", "inadvertent", "breach")
    chosen = {name: given[name] for name in (*passed, "recursive_l", "recursive_c")}
    threshold = given["threshold"]
    return Assumptions(
        threshold=1.0 / threshold if threshold >= 1 else threshold,
        sampling_fraction=given["fraction"],
        combinations=not given["no_combinations"] and "combinations" not in skipped,
        special_uniques=not given["no_suda"] and "suda" not in skipped,
        **{name: value for name, value in chosen.items() if value is not None},
    ), skipped


def _reach(
    call: Call,
    file: str,
    table: pa.Table,
    quasi: list[str],
    given: dict[str, Any],
    as_json: bool,
) -> None:
    from safehands.commands import risk_view
    from safehands.risk import reach_k, write_table

    out = Path(given["out"])
    if out.resolve() == Path(file).resolve():
        raise PolicyError("risk.same_file")
    found = reach_k(
        table,
        quasi,
        given["reach"],
        hierarchies=_hierarchies(given["hierarchy"]),
        generalise=not given["no_generalise"],
        limit=given["limit"],
        local=_names(given["local"]),
        person=given["person"],
        keep=[*_names(given["sensitive"]), *_names(given["keep"])],
    )
    if found.table.num_rows == 0:
        raise PolicyError("risk.empty_result")
    write_table(found.table, out)
    if as_json:
        _json(found.as_dict())
    else:
        risk_view.reached(call, found, given["reach"], out)


def _hierarchies(options: Iterable[str]) -> dict[str, HierarchyMaker]:
    from safehands.risk.hierarchy import read_hierarchy
    from safehands.risk.hierarchy_default import texts_of

    def maker(path: Path) -> HierarchyMaker:
        return lambda values, column: read_hierarchy(path, texts_of(values), column)

    return {column: maker(path) for column, path in map(_column_and_path, options)}


def _column_and_path(option: str) -> tuple[str, Path]:

    column, equals, path = option.partition("=")
    if equals:
        return column, Path(path)
    name = Path(option).stem
    if "_hierarchy_" not in name:
        raise PolicyError("risk.hierarchy_option", file=Path(option).name)
    return name.split("_hierarchy_", 1)[1], Path(option)


def _json(found: dict[str, object]) -> None:
    click.echo(json.dumps(found, ensure_ascii=False, allow_nan=False))

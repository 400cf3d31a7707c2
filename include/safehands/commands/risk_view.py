"""What ``safehands risk`` prints for a person: tables of numbers, never a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from safehands.commands.call import Call

if TYPE_CHECKING:
    from safehands.risk import Reached, RiskReport
    from safehands.risk.report import SensitiveRisk

__all__ = ["reached", "report"]

_SHOWN = 5
"""Combinations shown; --json has all."""

_Line = tuple[str, ...]


def report(call: Call, found: RiskReport) -> None:
    """Print all figures of a report."""
    call.line(call.say("risk.cli.title", columns=", ".join(found.quasi)))
    _show(call, call.say("risk.cli.table"), _table(call, found))
    for one in found.sensitive:
        title = call.say("risk.cli.sensitive_title", column=one.column, values=one.values)
        _show(call, title, _sensitive(call, one, found.assumptions.recursive_c))
    _attackers(call, found)
    _show(call, call.say("risk.cli.unique"), _uniqueness(call, found))
    _show(call, call.say("risk.cli.individual"), _individual(call, found))
    if found.wildcard is not None:
        _show(call, call.say("risk.cli.wildcard"), _wildcard(call, found))
    if found.keys:
        title = call.say("risk.cli.keys_title", count=len(found.keys))
        _show(call, title, _keys(call, found))
    if found.suda is not None:
        _show(call, call.say("risk.cli.suda"), _suda(call, found))
    tools = list(_tools(call, found))
    if tools:
        _show(call, call.say("risk.cli.tools"), tools)
    _show(call, call.say("risk.cli.level_title"), _level(call, found))


def reached(call: Call, found: Reached, k: int, out: Path) -> None:
    """Print what reaching ``k`` took."""
    lines = [
        (call.say("risk.cli.reached_k", k=k, before=found.k_before), _number(found.k)),
        (call.say("risk.cli.rows"), _number(found.rows)),
        (call.say("risk.cli.reached_rows"), _number(found.rows - found.left_out)),
        (call.say("risk.cli.left_out"), _number(found.left_out)),
        (call.say("risk.cli.classes"), _number(found.classes)),
        (call.say("risk.cli.average_class"), _number(found.average_class_size)),
        (call.say("risk.cli.loss"), _number(found.loss)),
        (call.say("risk.cli.discernibility"), _number(found.discernibility)),
    ]
    for column, (level, height) in found.levels.items():
        lines.append((call.say("risk.cli.level_of", column=column), f"{level} / {height}"))
    for column, cells in found.blanked.items():
        lines.append((call.say("risk.cli.blanked", column=column), _number(cells)))
    _show(call, call.say("risk.cli.reached_title", file=out.name), lines)
    if not found.optimal:
        call.line(call.say("risk.cli.not_optimal"))
    call.line(call.say("risk.cli.closing"))


def _show(call: Call, title: str, lines: Iterable[_Line], heads: Sequence[str] = ()) -> None:
    rows = list(lines)
    shown = Table(title=Text(title), title_justify="left", show_header=bool(heads))
    for place in range(len(rows[0])):
        head = Text(heads[place]) if heads else ""
        shown.add_column(head, justify="left" if place == 0 else "right", no_wrap=place > 0)
    for row in rows:
        # Text, so that a column name with brackets is not taken for markup.
        shown.add_row(*(Text(cell) for cell in row))
    call.console.print(shown)


def _number(value: float | None) -> str:
    """Nine digits for a share, every digit of a count."""
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.9g}"


def _table(call: Call, found: RiskReport) -> Iterable[_Line]:
    yield call.say("risk.cli.rows"), _number(found.rows)
    if found.dropped:
        yield call.say("risk.cli.dropped"), _number(found.dropped)
    if found.people is not None:
        yield call.say("risk.cli.people"), _number(found.people)
    yield call.say("risk.cli.records"), _number(found.records)
    yield call.say("risk.cli.classes"), _number(found.classes)
    yield call.say("risk.cli.k"), _number(found.k)
    yield call.say("risk.cli.average_class"), _number(found.average_class_size)


def _sensitive(call: Call, one: SensitiveRisk, c: float) -> Iterable[_Line]:
    yield call.say("risk.cli.alpha"), _number(one.alpha)
    yield call.say("risk.cli.distinct_l"), _number(one.distinct_l)
    yield call.say("risk.cli.entropy_l"), _number(one.entropy_l)
    yield call.say("risk.cli.c", l=one.recursive_c_at_l), _number(one.recursive_c)
    yield call.say("risk.cli.l", c=f"{c:g}"), _number(one.recursive_l)
    for name in ("t_equal", "t_ordered", "delta", "basic_beta", "enhanced_beta"):
        yield call.say(f"risk.cli.{name}"), _number(getattr(one, name))


def _attackers(call: Call, found: RiskReport) -> None:
    people = found.prosecutor, found.journalist
    source = call.say(f"risk.cli.from_{found.population_source}")
    threshold = f"{found.assumptions.threshold:.9g}"
    lines = [
        (call.say(f"risk.cli.{name}"), *(_number(getattr(one, name)) for one in people), "")
        for name in ("lowest", "average", "highest")
    ]
    above = (_number(one.records_above_threshold) for one in people)
    lines.append((call.say("risk.cli.above", threshold=threshold), *above, ""))
    rates = (*(one.success_rate for one in people), found.marketer)
    lines.append((call.say("risk.cli.success"), *map(_number, rates)))
    names = [call.say(f"risk.cli.{name}") for name in ("prosecutor", "journalist", "marketer")]
    _show(call, f"{call.say('risk.cli.attackers')} ({source})", lines, ["", *names])


def _uniqueness(call: Call, found: RiskReport) -> Iterable[_Line]:
    yield call.say("risk.cli.sample_uniques"), _number(found.sample_uniques)
    one = found.uniqueness
    if one is None:
        return
    yield call.say("risk.cli.population_title", population=f"{one.population:,}"), ""
    for name, value in (("Zayatz", one.zayatz), ("Pitman", one.pitman), ("SNB", one.snb)):
        shown = call.say("risk.cli.no_answer") if value is None else _number(value)
        yield f"  {name}", shown
    yield f"  {call.say('risk.cli.dankar', model=one.model)}", _number(one.dankar)


def _tools(call: Call, found: RiskReport) -> Iterable[_Line]:
    """What other tools print where they depart from the papers (docs/concepts/risk.md)."""
    if found.pycanon is not None:
        for name, value in vars(found.pycanon).items():
            number = None if isinstance(value, float) and value != value else value
            yield f"pyCANON {call.say(f'risk.cli.pycanon.{name}')}", _number(number)
    one = found.uniqueness
    if one is not None:
        for label, value in (("Pitman", one.pitman_arx), ("SNB", one.snb_arx)):
            yield (
                f"ARX {label}",
                call.say("risk.cli.no_answer") if value is None else _number(value),
            )
        yield f"ARX Dankar ({one.model_arx})", _number(one.dankar_arx)
    if found.suda is not None and found.suda.dis_sdcmicro is not None:
        yield "sdcMicro DIS", _number(found.suda.dis_sdcmicro)
        yield "sdcMicro DIS-SUDA", _number(found.suda.highest_dis_score_sdcmicro)


def _individual(call: Call, found: RiskReport) -> Iterable[_Line]:
    one = found.individual
    yield call.say(f"risk.cli.from_{one.source}"), ""
    yield call.say("risk.cli.expected"), _number(one.expected)
    yield call.say("risk.cli.share"), _number(one.share)
    yield call.say("risk.cli.exact_expected"), _number(one.exact_expected)
    yield call.say("risk.cli.highest"), _number(one.highest)


def _wildcard(call: Call, found: RiskReport) -> Iterable[_Line]:
    one = found.wildcard
    assert one is not None
    yield call.say("risk.cli.k"), _number(one.k)
    yield call.say("risk.cli.sample_uniques"), _number(one.sample_uniques)
    for name in ("lowest", "average", "highest"):
        yield call.say(f"risk.cli.{name}"), _number(getattr(one, name))


def _keys(call: Call, found: RiskReport) -> Iterable[_Line]:
    nearest = sorted(found.keys, key=lambda one: (-one.separation, len(one.columns), one.columns))
    for one in nearest[:_SHOWN]:
        yield (
            " + ".join(one.columns),
            call.say("risk.cli.distinction", value=_number(one.distinction)),
            call.say("risk.cli.separation", value=_number(one.separation)),
        )


def _suda(call: Call, found: RiskReport) -> Iterable[_Line]:
    one = found.suda
    assert one is not None
    yield call.say("risk.cli.suda_records"), _number(one.records)
    for place, count in enumerate(one.by_size):
        yield call.say("risk.cli.suda_size", size=place + 1), _number(count)
    yield call.say("risk.cli.suda_score"), _number(one.highest_score)
    yield call.say("risk.cli.suda_dis"), _number(one.highest_dis_score)
    for column, share in one.contribution.items():
        yield call.say("risk.cli.suda_part", column=column), _number(share)


def _level(call: Call, found: RiskReport) -> Iterable[_Line]:
    one = found.level
    yield (
        call.say("risk.cli.level", release=call.say(f"risk.cli.release_{one.release}")),
        _number(one.level),
    )
    yield call.say("risk.cli.below_least"), _number(one.share_above)
    yield call.say("risk.cli.overall"), _number(one.overall)

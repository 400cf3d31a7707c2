"""Great Expectations, kept to what it is asked: how many rows were looked at, how many are bad.

The library is imported on first use (it takes two to six seconds). It is called below its data
sources, at validator and execution engine, because a data source hashes the whole frame twice
(0.9 s for half a million rows) and keeps it in memory afterwards. Its results carry no values: no
list of unexpected ones is asked for, and the texts of its errors, which may quote cells, are
dropped here.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from safehands.errors import PolicyError, StepFailed
from safehands.validate.masks import ROW_COUNT
from safehands.validate.suites import Rule, Suite

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import (
        EphemeralDataContext,
    )

__all__ = ["Verdict", "judge"]

_COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}


@dataclass(frozen=True)
class Verdict:
    """What Great Expectations says of one rule: rows looked at, rows bad, and within ``mostly``?"""

    evaluated: int
    failed: int
    passed: bool


def judge(suite: Suite, frame: pa.Table) -> dict[str, Verdict]:
    """Return rule id → verdict for all rules of a resolved ``suite`` over ``frame``.

    Raises ``PolicyError`` when the library loads another number of rules than the file holds, and
    ``StepFailed`` when it cannot work a rule out.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = frame.to_pandas()
        results = _run(suite, rows)
        # The engine's objects refer to each other and stay until the next garbage collection; the
        # rows must not.
        rows.drop(columns=list(rows.columns), inplace=True)
    by_rule = {result.expectation_config.meta["rule"]: result for result in results}
    _same_number(suite, len(by_rule))
    return {rule.id: _verdict(rule, by_rule[rule.id]) for rule in suite.expectations}


def _run(suite: Suite, rows: Any) -> list[Any]:
    from great_expectations.execution_engine.pandas_execution_engine import (
        PandasExecutionEngine,
    )
    from great_expectations.validator.validator import Validator

    context = _context()
    expectations = _load(suite)
    engine = PandasExecutionEngine(batch_data_dict={suite.name: rows})
    validator = Validator(execution_engine=engine, data_context=context)
    return validator.graph_validate(
        configurations=expectations, runtime_configuration={"result_format": dict(_COUNTS_ONLY)}
    )


def _load(suite: Suite) -> list[Any]:
    from great_expectations import ExpectationSuite

    plain = [rule.model_dump() for rule in suite.expectations]
    loaded = ExpectationSuite(name=suite.name, expectations=plain)
    _same_number(suite, len(loaded.expectations))
    return list(loaded.expectation_configurations)


@cache
def _context() -> EphemeralDataContext:
    """Return this process's one context. All it is for is to say: no progress bars."""
    from great_expectations import get_context
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    context = get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    return context


def _same_number(suite: Suite, loaded: int) -> None:
    wanted = len(suite.expectations)
    if loaded != wanted:
        raise PolicyError("validate.rules_lost", suite=suite.name, wanted=wanted, loaded=loaded)


def _verdict(rule: Rule, result: Any) -> Verdict:
    info = result.exception_info or {}
    if info.get("raised_exception", bool(info)):
        raise StepFailed("validate.rule_broken", rule=rule.id)
    passed = bool(result.success)
    if rule.type == ROW_COUNT:
        return Verdict(1, int(not passed), passed)
    counts = result.result
    evaluated = int(counts["element_count"]) - int(counts.get("missing_count") or 0)
    return Verdict(evaluated, int(counts["unexpected_count"]), passed)

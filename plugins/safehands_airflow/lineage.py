"""OpenLineage facets of our tasks, and the sieve that every event passes.

Nothing here is imported until lineage is configured: the provider asks an operator for its facets
only then. ``sieved`` puts the sieve in front of whatever transport is configured.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from safehands.errors import SetupProblem
from safehands.settings import Settings

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from safehands.lineage import Node

    Lineage = OperatorLineage[Any, Any]

__all__ = ["TRANSPORT", "Traced", "require_sieve", "sieved"]

TRANSPORT = "AIRFLOW__OPENLINEAGE__TRANSPORT"

_SIEVE = "safehands_airflow.sieve.Sieve"
_OTHERS = ("AIRFLOW__OPENLINEAGE__CONFIG_PATH", "AIRFLOW__OPENLINEAGE__CONFIG_CONN_ID")


class Traced:
    """An operator whose task tells OpenLineage what it moved: ``traced_step`` and its result."""

    record: Any = None
    _result: Any = None

    @property
    def traced_step(self) -> str:
        """The step whose flow this task is."""
        raise NotImplementedError

    def get_openlineage_facets_on_start(self) -> Lineage:
        """Return datasets and columns; called by the provider when lineage is configured."""
        return _lineage(self.traced_step, self.record, None)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Lineage:  # noqa: ARG002
        """Return datasets, columns, their origins, counts and verdicts."""
        return _lineage(self.traced_step, self.record, self._result)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Lineage:  # noqa: ARG002
        """Return what was known at the start: a failed step left nothing."""
        return _lineage(self.traced_step, self.record, None)


def sieved(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that put the sieve before the configured transport.

    None: lineage is off. Airflow's own facets carry a run's parameters and a failure's text. Raises
    ``SetupProblem`` for a transport that is no JSON object, and for one that is configured where
    the sieve can't be put before.
    """
    past = [name for name in environ if name.startswith("OPENLINEAGE_") and environ[name]]
    past += [name for name in _OTHERS if environ.get(name)]
    if past:
        raise SetupProblem("lineage.past_the_sieve", name=past[0], use=TRANSPORT)
    given = environ.get(TRANSPORT)
    if not given:
        return {}
    try:
        transport = json.loads(given)
    except ValueError:
        transport = None
    if not isinstance(transport, dict):
        raise SetupProblem("lineage.no_object", name=TRANSPORT)
    if transport.get("transformer_class") != _SIEVE:
        transport = {"type": "transform", "transformer_class": _SIEVE, "transport": transport}
    return {TRANSPORT: json.dumps(transport)}


def require_sieve(environ: Mapping[str, str]) -> None:
    """Raise ``SetupProblem`` when lineage is configured without the sieve."""
    if sieved(environ) and _SIEVE not in environ[TRANSPORT]:
        raise SetupProblem("lineage.no_sieve", name=TRANSPORT, sieve=_SIEVE)


def _lineage(step: str, record: Any, result: Any) -> Lineage:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    from safehands.lineage import NAMESPACE, flow
    from safehands.policy import load_policy

    settings = Settings.read(os.environ)
    found = flow(load_policy(settings.policy, settings.mappings), step, record, result)
    return OperatorLineage(
        inputs=[
            InputDataset(NAMESPACE, node.name, facets=_facets(node), inputFacets=_quality(node))
            for node in found.inputs
        ],
        outputs=[
            OutputDataset(NAMESPACE, node.name, facets=_facets(node), outputFacets=_size(node))
            for node in found.outputs
        ],
    )


def _facets(node: Node) -> dict[str, Any]:
    from openlineage.client.facet_v2 import column_lineage_dataset as lineage
    from openlineage.client.facet_v2 import schema_dataset as schema

    from safehands.lineage import NAMESPACE

    made: dict[str, Any] = {}
    if node.columns:
        fields = [schema.SchemaDatasetFacetFields(n, type=kind) for n, kind in node.columns.items()]
        made["schema"] = schema.SchemaDatasetFacet(fields=fields)
    if node.origins:
        made["columnLineage"] = lineage.ColumnLineageDatasetFacet(
            fields={
                column: lineage.Fields(
                    inputFields=[
                        lineage.InputField(
                            namespace=NAMESPACE,
                            name=one.dataset,
                            field=one.column,
                            transformations=[
                                lineage.Transformation(
                                    type="DIRECT",
                                    subtype="IDENTITY" if one.same else "TRANSFORMATION",
                                    description=one.how,
                                    masking=one.masked,
                                )
                            ],
                        )
                        for one in origins
                    ]
                )
                for column, origins in node.origins.items()
            }
        )
    return made


def _quality(node: Node) -> dict[str, Any]:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    if not node.verdicts:
        return {}
    assertions = [
        quality.Assertion(
            assertion=one.rule,
            success=one.failed == 0,
            severity=one.severity,
            expected="0",
            actual=f"{one.failed} of {one.evaluated}",
        )
        for one in node.verdicts
    ]
    return {"dataQualityAssertions": quality.DataQualityAssertionsDatasetFacet(assertions)}


def _size(node: Node) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset as size

    if node.rows is None:
        return {}
    return {"outputStatistics": size.OutputStatisticsOutputDatasetFacet(rowCount=node.rows)}

"""What every task needs, imported once by a Celery worker (``[celery] extra_celery_config``).

Airflow forks a process for each task. What the worker has loaded by then, a task need not load
again: Great Expectations, pandas and Arrow take about three seconds of a processor.
"""

from __future__ import annotations

from importlib import import_module

from safehands.pipeline import HEAVY

__all__: list[str] = []

for _module in HEAVY:
    import_module(_module)

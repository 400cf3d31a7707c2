"""``safehands metrics``: the gauges on the screen, or as a file for node_exporter."""

from __future__ import annotations

from pathlib import Path

import click

from safehands.commands.call import Call, leaf
from safehands.errors import SetupProblem
from safehands.messages import say

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the command ``metrics``."""
    out = click.Option(["--out"], help=say("cli.metrics.out", lang), metavar="FILE.prom")
    shape = click.Option(["--openmetrics"], is_flag=True, help=say("cli.metrics.openmetrics", lang))
    return leaf("metrics", lang, "cli.metrics", _metrics, out, shape)


def _metrics(call: Call, out: str | None, openmetrics: bool) -> None:
    from safehands import metrics

    with call.installation() as inst, inst.store.begin("safehands_auditor") as connection:
        shape = metrics.openmetrics if openmetrics else metrics.textfile
        content = shape(connection)
    if out is None:
        click.echo(content.decode(), nl=False)
        return
    try:
        metrics.write(Path(out), content)
    except OSError:
        raise SetupProblem("metrics.not_written", file=out) from None

"""``safehands dashboards publish``: every owner's pages as files that need nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from safehands.commands.call import Call, leaf
from safehands.messages import say

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``dashboards``."""
    group = click.Group("dashboards", help=say("dashboards.group", lang))
    folder = click.Option(
        ["--folder"], type=click.Path(path_type=Path), help=say("dashboards.option.folder", lang)
    )
    group.add_command(leaf("publish", lang, "dashboards.publish", _publish, folder))
    return group


def _publish(call: Call, folder: Path | None) -> None:
    from safehands.dashboards import open_books, publish

    place = folder or call.settings.reports / "dashboards"
    with call.installation() as inst:
        counts = publish(inst.store, open_books(inst.settings), place)
    call.line(call.say("dashboards.published", **counts, folder=str(place)))

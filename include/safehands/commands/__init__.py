"""Command groups beside the nightly steps, one module each, loaded when they are called.

A module here has one public function ``command(lang) -> click.Command``; its name in
:data:`GROUPS` is what the user types. Modules import what they work with inside their functions,
so that ``safehands --help`` stays quick.
"""

from __future__ import annotations

from importlib import import_module

import click

__all__ = ["GROUPS", "Lazy"]

# What the user types, and the module that answers.
GROUPS: dict[str, str] = {
    "rules": "rules",
    "evidence": "evidence",
    "dashboards": "dashboards",
    "findings": "findings",
    "risk": "risk",
    "assess": "assess",
    "quarantine": "quarantine",
    "keys": "keys",
    "erase": "erase",
    "hold": "hold",
    "vault": "vault",
    "request": "request",
    "subject": "subject",
    "notice": "notice",
    "consent": "consent",
    "share": "share",
    "incident": "incident",
    "complaint": "complaint",
    "handover": "handover",
    "alerts": "alerts",
    "metrics": "metrics",
    "table": "table",
    "inspect": "inspect",
    "doctor": "doctor",
}


class Lazy(click.Group):
    """A command group whose further members are modules of :mod:`safehands.commands`."""

    def __init__(self, name: str, lang: str, summary: str) -> None:
        super().__init__(name, help=summary)
        self.lang = lang

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click asks for it
        """Return the names of the commands: the night's in their order, then the groups."""
        return [*self.commands, *GROUPS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command ``cmd_name``, loading its module if it has one."""
        if cmd_name not in self.commands and cmd_name in GROUPS:
            module = import_module(f"{__name__}.{GROUPS[cmd_name]}")
            made: click.Command = module.command(self.lang)
            self.add_command(made, cmd_name)
        return super().get_command(ctx, cmd_name)

"""``safehands doctor``: is this installation fit, and what is to be done if not."""

from __future__ import annotations

import json
import os

import click

from safehands.commands.call import Call, json_option, leaf, now

__all__ = ["command"]

_SIGNS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "bad": ("✗", "bold red")}


def command(lang: str) -> click.Command:
    """Return the command ``doctor``; it ends with 3 when something has to be put right."""
    return leaf("doctor", lang, "cli.doctor", _doctor, json_option(lang))


def _doctor(call: Call, as_json: bool) -> None:
    from safehands.doctor import Finding, examine
    from safehands.errors import SetupProblem

    lang = call.settings.lang
    found: list[Finding] = []
    for one in examine(call.settings, os.environ, now()):
        found.append(one)
        if not as_json:
            _show(call, one.state, f"{call.say(f'doctor.{one.check}')}: {one.say(lang)}")
    if as_json:
        click.echo(json.dumps([one.as_json(lang) for one in found], ensure_ascii=False))
    bad = sum(one.state == "bad" for one in found)
    warn = sum(one.state == "warn" for one in found)
    if not as_json:
        key = "doctor.sum" if bad or warn else "doctor.all_well"
        call.line(call.say(key, count=len(found), bad=bad, warn=warn))
    if bad:
        raise SetupProblem("doctor.must", bad=bad)


def _show(call: Call, state: str, text: str) -> None:
    from rich.text import Text

    sign, style = _SIGNS[state]
    call.console.print(Text(sign, style=style), Text(text), soft_wrap=True)

"""``safehands handover offer|agree|forward|forwarded|purposes``: between two parties, and after.

Signed files go between the parties; a customer's number is typed unseen and leaves sealed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from safehands.commands.call import Call, leaf
from safehands.messages import say

__all__ = ["members", "read_answer"]

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def members(lang: str) -> dict[str, click.Command]:
    """Return the commands by name."""
    number = click.Argument(["handover"], type=click.UUID)
    file = click.Argument(["file"], type=_FILE)
    by = click.Option(["--by"], required=True, help=say("cli.vault.option.by", lang))

    def option(name: str, **more: Any) -> click.Option:
        asked = {"required": True, **more}
        return click.Option([f"--{name}"], help=say(f"cli.handover.option.{name}", lang), **asked)

    out = option("out", type=click.Path(path_type=Path))
    refuse = click.Option(["--refuse"], is_flag=True, help=say("cli.handover.option.refuse", lang))
    made: dict[str, tuple[Callable[..., None], tuple[click.Parameter, ...]]] = {
        "offer": (_offer, (number, out)),
        "agree": (_agree, (file, option("owner"), option("signer"), by, refuse, out)),
        "forward": (_forward, (number, option("kind"), by)),
        "forwarded": (_forwarded, (file, option("owner"), by)),
        "purposes": (_purposes, (number, option("owner"))),
    }
    return {
        name: leaf(name, lang, f"cli.handover.{name}", work, *params)
        for name, (work, params) in made.items()
    }


def read_answer(call: Call, handover: UUID, file: Path, signer: str) -> bool:
    """Read a buyer's signed answer; return whether the hand-over is approved now."""
    from safehands import guard
    from safehands.handover.exchange import accept_answer
    from safehands.ledger import VerifierKey, load_document

    with call.installation() as inst:

        def work() -> bool:
            document = load_document(file.read_text(encoding="utf-8"))
            key = VerifierKey.parse(signer)
            return accept_answer(inst, handover, document, key, call.day, inst.clock())

        return guard.guarded("handover", work)


def _offer(call: Call, handover: UUID, out: Path) -> None:
    from safehands import guard
    from safehands.certificates import keep_certificate
    from safehands.handover.exchange import make_offer

    with call.installation() as inst:
        made = guard.guarded("handover", lambda: make_offer(inst, handover, inst.clock()))
        keep_certificate(out, made)
    call.line(call.say("cli.handover.offered", file=out.name))


def _agree(
    call: Call, file: Path, owner: str, signer: str, by: str, refuse: bool, out: Path
) -> None:
    from safehands import guard
    from safehands.certificates import keep_certificate
    from safehands.handover.approvals import Decision
    from safehands.handover.exchange import answer_offer
    from safehands.ledger import VerifierKey, load_document
    from safehands.vault.access import find_owner

    with call.installation() as inst:

        def work() -> None:
            document = load_document(file.read_text(encoding="utf-8"))
            buyer, key = find_owner(inst.store, owner), VerifierKey.parse(signer)
            said: Decision = "refuse" if refuse else "approve"
            now = inst.clock()
            keep_certificate(out, answer_offer(inst, buyer, document, key, said, by, call.day, now))

        guard.guarded("handover", work)
    call.line(call.say("cli.handover.agreed", file=out.name))


def _forward(call: Call, handover: UUID, kind: str, by: str) -> None:
    from safehands import guard
    from safehands.handover.aftercare import forward

    phone = str(click.prompt(call.say("cli.vault.prompt.phone"), hide_input=True, err=True))
    with call.installation() as inst:
        now = inst.clock()
        made = guard.guarded(
            "handover", lambda: forward(inst, handover, kind, phone, by, call.day, now)
        )
    call.line(call.say("cli.handover.passed_on", number=made.number, path=str(made.path)))


def _forwarded(call: Call, file: Path, owner: str, by: str) -> None:
    from safehands import guard
    from safehands.handover.aftercare import take_forwarded
    from safehands.vault.access import find_owner

    with call.installation() as inst:

        def work() -> str:
            buyer, random = find_owner(inst.store, owner), secrets.token_bytes(4)
            return take_forwarded(inst, buyer, file.read_bytes(), by, inst.clock(), random)

        request = guard.guarded("handover", work)
    call.line(call.say("cli.handover.taken", request=request))


def _purposes(call: Call, handover: UUID, owner: str) -> None:
    from safehands import guard
    from safehands.handover.aftercare import added_purposes
    from safehands.vault.access import find_owner

    with call.installation() as inst:

        def work() -> list[str]:
            return added_purposes(inst, handover, find_owner(inst.store, owner), call.day)

        found = guard.guarded("handover", work)
    call.line(call.say("cli.handover.added", purposes=", ".join(found) or "–"))

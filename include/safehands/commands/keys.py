"""``safehands keys``: where the keys stand, their rotation, their escrow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from safehands.commands.call import Call, json_option, leaf, now
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.installation import Installation
    from safehands.rotation import RootRotation
    from safehands.store.register import Owner

__all__ = ["command"]


def command(lang: str) -> click.Command:
    """Return the group ``keys`` with its help in ``lang``."""
    group = click.Group("keys", help=say("keys.cli.group", lang))
    group.add_command(leaf("status", lang, "keys.cli.status", _status, json_option(lang)))
    group.add_command(_rotate(lang))
    group.add_command(leaf("rewrap", lang, "keys.cli.rewrap", _rewrap, _to(lang)))
    group.add_command(_escrow(lang))
    return group


def _rotate(lang: str) -> click.Command:
    group = click.Group("rotate", help=say("keys.cli.rotate", lang))
    group.add_command(leaf("token", lang, "keys.cli.rotate.token", _token, _controller(lang)))
    group.add_command(leaf("data", lang, "keys.cli.rotate.data", _data, _controller(lang)))
    group.add_command(leaf("root", lang, "keys.cli.rotate.root", _root, _to(lang)))
    return group


def _escrow(lang: str) -> click.Command:
    group = click.Group("escrow", help=say("keys.cli.escrow", lang))
    numbers = [
        click.Option(["--threshold"], type=int, default=2, show_default=True),
        click.Option(["--shares"], type=int, default=3, show_default=True),
        click.Option(["--out"], required=True, type=click.Path(path_type=Path), metavar="DIR"),
    ]
    files: list[click.Parameter] = [
        click.Argument(["bundle"], type=_FILE, metavar="BUNDLE"),
        click.Argument(["shares"], type=_FILE, nargs=-1, required=True, metavar="SHARE..."),
    ]
    group.add_command(leaf("export", lang, "keys.cli.escrow.export", _export, *numbers))
    group.add_command(leaf("drill", lang, "keys.cli.escrow.drill", _drill, *files))
    group.add_command(leaf("restore", lang, "keys.cli.escrow.restore", _restore, *files))
    return group


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _controller(lang: str) -> click.Parameter:
    text = say("keys.cli.option.controller", lang)
    return click.Option(["--controller", "code"], help=text, metavar="CODE")


def _to(lang: str) -> click.Parameter:
    return click.Option(["--to", "url"], help=say("keys.cli.option.to", lang), metavar="URL")


def _status(call: Call, as_json: bool) -> None:
    from safehands.rotation import key_state

    with call.installation() as inst:
        found = key_state(inst.store)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for line in _lines(call, found):
        call.line(line)


def _lines(call: Call, found: dict[str, Any]) -> list[str]:
    root, escrow = found["root"], found["escrow"]
    lines = [call.say("keys.status.root", id=root["key"], version=root["version"])]
    if root["version"] > root["wrapped_with_version"]:
        lines.append(call.say("keys.status.rewrap", version=root["version"]))
    if not root["settled"]:
        lines.append(call.say("keys.status.unsettled"))
    for one in found["controllers"]:
        shown = {name: one[name] for name in ("controller", "data_version", "epoch", "keys")}
        lines.append(call.say("keys.status.controller", **shown))
        if one["minimum_version"] < one["data_version"]:
            rest = {"controller": one["controller"], "count": one["records_below"]}
            lines.append(call.say("keys.status.rotating", **rest))
    if escrow is None:
        lines.append(call.say("keys.status.no_escrow"))
    elif found["escrow_holds"]:
        shown = {"k": escrow["threshold"], "n": escrow["shares"], "day": escrow["drilled_at"][:10]}
        lines.append(call.say("keys.status.escrow", **shown))
    else:
        lines.append(call.say("keys.status.escrow_open", day=escrow["made_at"][:10]))
    return lines


def _root(call: Call, url: str | None) -> None:
    from safehands.rotation import rotate_root

    with call.installation() as inst:
        store = _leading(inst, url)
        done = rotate_root(store, now())
        key = "keys.rotated.root_resumed" if done.resumed else "keys.rotated.root"
        call.line(call.say(key, old=done.old, new=done.new, count=done.controllers))
        _prove_root(call, inst, store, done)
    _after_root(call, url)


def _rewrap(call: Call, url: str | None) -> None:
    from safehands.rotation import rewrap, rotate_root

    with call.installation() as inst:
        store = _leading(inst, url)
        done = rotate_root(store, now()) if url else rewrap(store, now())
        call.line(call.say("keys.rewrapped", new=done.new, count=done.controllers))
        _prove_root(call, inst, store, done)
    if done.old != done.new:
        _after_root(call, url)


def _prove_root(call: Call, inst: Installation, store: Any, done: RootRotation) -> None:
    """Back up under the new root key and restore without the old one, which ends then."""
    from dataclasses import replace

    from safehands import pipeline

    if done.settled:
        return
    same = done.old == done.new and not done.resumed
    call.line(call.say("keys.rewrapped.proving" if same else "keys.rotated.root_kept"))
    pipeline.finish_rotation(replace(inst, store=store, provider=store.provider), call.day)
    call.line(call.say("keys.rewrapped.proved" if same else "keys.rotated.root_ended"))


def _after_root(call: Call, url: str | None) -> None:
    if url:
        call.line(call.say("keys.rotated.set_url", url=url.partition("?")[0]))
    elif call.settings.keys_url.startswith("env:"):
        call.line(call.say("keys.rotated.set_variable"))
    call.line(call.say("keys.rotated.escrow_again"))


def _leading(inst: Installation, url: str | None) -> Any:
    """Return the store with the root key of ``url``, if there is one, as the provider's next."""
    if not url:
        return inst.store
    from safehands.installation import key_sources
    from safehands.keys.choose import leading_to
    from safehands.store import Store

    provider = leading_to(inst.provider, url, key_sources(inst.settings))
    return Store(inst.store.url, provider)


def _data(call: Call, code: str | None) -> None:
    from safehands.rotation import rotate_data

    with call.installation() as inst:
        for owner in _chosen(inst, code):
            done = rotate_data(inst.store, owner, now())
            said: dict[str, str | int] = {"controller": owner.code, "version": done.new}
            call.line(call.say("keys.rotated.data", count=done.records, **said))
    call.line(call.say("keys.rotated.lineage"))


def _token(call: Call, code: str | None) -> None:
    from safehands.erasure import turn_epoch

    with call.installation() as inst:
        for owner in _chosen(inst, code):
            moment = now()
            run = f"keys-{moment.date()}"
            done = turn_epoch(inst.store, owner, run, call.day, moment, asked=True)
            key = "keys.rotated.token" if done else "keys.rotated.token_not_now"
            count = done["people"] if done else 0
            call.line(call.say(key, controller=owner.code, count=count))
    call.line(call.say("keys.rotated.prove"))


def _chosen(inst: Installation, code: str | None) -> list[Owner]:
    from safehands.store.register import owners

    known = owners(inst.store)
    if code is None:
        return list(known.values())
    if code not in known:
        shown = ", ".join(sorted(known))
        raise click.BadParameter(
            say("keys.cli.unknown_controller", inst.settings.lang, known=shown)
        )
    return [known[code]]


def _export(call: Call, threshold: int, shares: int, out: Path) -> None:
    from safehands.rotation import export

    with call.installation() as inst:
        done = export(inst.store, out, threshold, shares, now())
    call.line(call.say("keys.escrow.exported", folder=str(out), k=threshold, n=shares))
    for path in (done.bundle, *done.shares):
        call.line(f"  {path.name}")
    call.line(call.say("keys.escrow.hand_out"))


def _drill(call: Call, bundle: Path, shares: tuple[Path, ...]) -> None:
    from safehands.rotation import drill

    with call.installation() as inst:
        done = drill(inst.store, bundle, shares, now())
    said = {"n": len(shares), "secrets": done.secrets, "count": done.controllers}
    call.line(call.say("keys.escrow.drilled", **said))


def _restore(call: Call, bundle: Path, shares: tuple[Path, ...]) -> None:
    from safehands.installation import key_sources
    from safehands.keys.choose import choose
    from safehands.rotation import give_back

    # Not opened as an installation: that would make new keys in the empty folder first.
    provider = choose(call.settings.keys_url, key_sources(call.settings))
    names = give_back(provider, bundle, shares)
    call.line(call.say("keys.escrow.restored", names=", ".join(names)))

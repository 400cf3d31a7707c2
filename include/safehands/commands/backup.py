"""``safehands backup``: make, list, verify, prove, restore, prune and drill backups.

Without a further word it makes one, as the nightly step does.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import click

from safehands.commands.call import Call, json_option, leaf, now
from safehands.messages import say

if TYPE_CHECKING:
    from safehands.backup import Repository
    from safehands.installation import Installation
    from safehands.keys import KeyProvider
    from safehands.ledger import VerifierKey

__all__ = ["command"]

Result = TypeVar("Result")


def command(lang: str) -> click.Command:
    """Return the group ``backup`` with its help in ``lang``."""
    create = leaf("create", lang, "cli.backup", _create)
    group = _group(lang, create)
    group.add_command(create)
    group.add_command(leaf("list", lang, "backup.cli.list", _list, json_option(lang)))
    group.add_command(
        leaf("verify", lang, "backup.cli.verify", _verify, _offline(lang), json_option(lang))
    )
    group.add_command(
        leaf("prove", lang, "backup.cli.prove", _prove, _generation(lang), json_option(lang))
    )
    group.add_command(
        leaf(
            "restore",
            lang,
            "backup.cli.restore",
            _restore,
            _generation(lang),
            _newest(lang),
            json_option(lang),
        )
    )
    group.add_command(
        leaf("prune", lang, "backup.cli.prune", _prune, _plan(lang), json_option(lang))
    )
    group.add_command(leaf("drill", lang, "backup.cli.drill", _drill, json_option(lang)))
    return group


def _group(lang: str, create: click.Command) -> click.Group:
    """Return a group that does ``create`` where nothing else is named, with its options."""

    @click.pass_context
    def alone(ctx: click.Context, /, **given: object) -> None:
        if ctx.invoked_subcommand is None:
            assert create.callback is not None
            create.callback(**given)
        elif any(value is not None for value in given.values()):
            # An option in front of the command would be lost: no backup of the wrong home.
            raise click.UsageError(say("backup.cli.behind", lang, command=ctx.invoked_subcommand))

    return click.Group(
        "backup",
        callback=alone,
        invoke_without_command=True,
        params=list(create.params),
        help=say("backup.cli.group", lang),
    )


def _generation(lang: str) -> click.Parameter:
    text = say("backup.cli.option.generation", lang)
    return click.Option(["--generation"], help=text, metavar="NAME")


def _newest(lang: str) -> click.Parameter:
    return click.Option(["--newest"], help=say("backup.cli.option.newest", lang), metavar="SHA256")


def _offline(lang: str) -> click.Parameter:
    return click.Option(["--offline"], is_flag=True, help=say("backup.cli.option.offline", lang))


def _plan(lang: str) -> click.Parameter:
    text = say("backup.cli.option.plan", lang)
    return click.Option(["--plan", "only_plan"], is_flag=True, help=text)


def _guarded(step: str, work: Callable[[], Result]) -> Result:
    from safehands import guard

    return guard.guarded(step, work)


def _tell(call: Call, as_json: bool, found: Any, key: str, **params: str | int | float) -> None:
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
    else:
        call.line(call.say(key, **params))


def _create(call: Call) -> None:
    from safehands import steps

    with call.installation() as inst:
        for line in steps.do(inst, "backup", call.day):
            call.line(line)


def _list(call: Call, as_json: bool) -> None:
    from safehands.backup.listing import listing

    with call.installation() as inst:
        found = listing(inst.store)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False, sort_keys=True))
        return
    for one in found:
        state = "proved" if one["proved"] else "unproved"
        params = {**one, "state": call.say(f"backup.cli.{state}")}
        call.line(call.say("backup.cli.generation", **params))
    if not found:
        call.line(call.say("backup.cli.none"))


def _verify(call: Call, offline: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from safehands.backup import verify_repository

    if offline:
        repository, provider, verifier = _bare(call)
        report = _guarded("backup", lambda: verify_repository(repository, provider, verifier))
    else:
        with call.installation() as inst:
            report = _guarded("backup", lambda: _verified(inst))
    key = "backup.cli.verified" if report.opened else "backup.cli.verified_closed"
    _tell(call, as_json, asdict(report), key, **asdict(report))
    if report.leftovers and not as_json:
        call.line(call.say("backup.cli.leftovers", count=report.leftovers))


def _verified(inst: Installation) -> Any:
    from safehands.backup import verify_repository
    from safehands.backup.upkeep import alone
    from safehands.restore.proving import known_newest

    with alone(inst.store):
        newest = known_newest(inst.store)
        return verify_repository(_repository(inst), inst.provider, _verifier(inst.provider), newest)


def _prove(call: Call, generation: str | None, as_json: bool) -> None:
    from safehands.restore import prove

    with call.installation() as inst:
        repository, verifier = _repository(inst), _verifier(inst.provider)
        found = _guarded(
            "restore",
            lambda: prove(
                inst.store, repository, verifier, now(), monotonic, generation=generation
            ),
        )
    told = {**found.restored.as_dict(), "seconds": found.seconds, "digest": found.store_digest}
    _tell(call, as_json, told, "backup.cli.proof", **_shown(found.restored, found.seconds))


def _restore(call: Call, generation: str | None, newest: str | None, as_json: bool) -> None:
    from safehands.installation import database_url
    from safehands.restore import restore
    from safehands.store import Store

    repository, provider, verifier = _bare(call)
    store = Store(database_url(call.settings), provider)
    begun = monotonic()
    try:
        done = _guarded(
            "restore",
            lambda: restore(
                repository, store, verifier, now(), generation=generation, newest=newest
            ),
        )
    finally:
        store.close()
    key = "backup.cli.already" if done.already else "backup.cli.restored"
    _tell(call, as_json, done.as_dict(), key, **_shown(done, round(monotonic() - begun, 1)))


def _shown(done: Any, seconds: float) -> dict[str, str | int | float]:
    moment = datetime.fromisoformat(done.created_at)
    return {
        "generation": done.generation,
        "moment": moment.strftime("%Y-%m-%d %H:%M"),
        "rows": done.rows,
        "left_out": sum(done.left_out.values()),
        "seconds": seconds,
    }


def _prune(call: Call, only_plan: bool, as_json: bool) -> None:
    from safehands.backup import load_backup_policy, planned, prune

    with call.installation() as inst:
        policy = load_backup_policy(inst.settings.policy)
        if only_plan:
            plan = _guarded("backup", lambda: planned(inst.store, policy))
            gone = [one.manifest for one in plan.gone]
            told: dict[str, Any] = {"kept": plan.kept, "removed": gone}
            counts = {"kept": len(plan.kept), "removed": len(gone)}
            _tell(call, as_json, told, "backup.cli.would_prune", **counts)
            return
        repository, run = _repository(inst), f"prune-{call.day.isoformat()}"
        done = _guarded("backup", lambda: prune(repository, inst.store, policy, run, now()))
    _tell(call, as_json, dict(done.counts), "backup.cli.pruned", **done.counts)


def _drill(call: Call, as_json: bool) -> None:
    from safehands.restore import drill

    with call.installation() as inst:
        done = _guarded(
            "restore",
            lambda: drill(
                inst.store,
                _repository(inst),
                inst.settings.reports,
                call.day,
                now(),
                monotonic,
            ),
        )
    params = {"seconds": done.rto_seconds, "point": done.body["recovery_point"]}
    _tell(call, as_json, done.body, "backup.cli.drilled", file=str(done.path), **params)


def _repository(inst: Installation) -> Repository:
    from safehands.backup import open_repository

    return open_repository(inst.settings)


def _verifier(provider: KeyProvider) -> VerifierKey:
    from safehands import journal

    return journal.signing_key(provider).verifier


def _bare(call: Call) -> tuple[Repository, KeyProvider, VerifierKey]:
    """Return what is needed before there is a database; nothing is made that is missing."""
    from safehands.backup import open_repository
    from safehands.installation import key_sources
    from safehands.keys.choose import choose

    provider = choose(call.settings.keys_url, key_sources(call.settings))
    # Without the ledger's key nothing could be checked, and a new one must not take its place.
    provider.get("ledger")
    return open_repository(call.settings), provider, _verifier(provider)

"""The story of a night: ingest, validate, minimise, pseudonymise, purge, backup, prove, report.

The command line and the Airflow tasks call the same functions. Each goes through ``guard``, so
that nothing of a customer's leaves a step in an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from functools import partial
from time import monotonic
from typing import Any

from safehands import backup as backup_step
from safehands import consent, erasure, errors, gates, guard, journal
from safehands import ingest as ingest_step
from safehands import minimise as minimise_step
from safehands import pseudonymise as pseudonymise_step
from safehands import purge as purge_step
from safehands import report as report_step
from safehands import validate as validate_step
from safehands.archive import archive
from safehands.artifacts import remove_artifacts
from safehands.datasets import Handoff, Outcome, Shard, SourceFile, names_a_person
from safehands.installation import Clock, Installation, open_installation
from safehands.keys import RunKey
from safehands.landing import cut_shards, set_aside, unloaded, without_repeats
from safehands.night import Night
from safehands.report.refresh import refresh as refresh_figures
from safehands.restore import proving as restoring
from safehands.rights.figures import rights_figures
from safehands.rights.tidy import remove_answers
from safehands.settings import Settings
from safehands.stations import Register, load_register
from safehands.store.batches import Batch, current_batches
from safehands.store.register import check_keys, register
from safehands.transfer.freeze import frozen
from safehands.workers import spread

__all__ = [
    "HEAVY",
    "STEPS",
    "Clock",
    "Head",
    "Installation",
    "Plan",
    "backup",
    "checkpoint",
    "close_night",
    "figures",
    "finish_erasures",
    "finish_rotation",
    "ingest",
    "minimise",
    "night_of",
    "nightly",
    "open_installation",
    "plan",
    "prove",
    "prove_due",
    "pseudonymise",
    "purge",
    "report",
    "validate",
    "verdict",
    "waiting",
]

HEAVY = ("safehands.pipeline", "safehands.validate.verdicts", "great_expectations")
STEPS = ("ingest", "validate", "minimise", "pseudonymise", "purge", "backup", "prove", "report")

Tell = Callable[[str, str, str], None]
"""Told ``(step, shard or "", "start" | "done")`` as the night goes on."""


@dataclass(frozen=True)
class Head:
    """Which night it is."""

    run: str
    business_date: date

    def as_dict(self) -> dict[str, str]:
        """Return JSON-able plain data."""
        return {"run": self.run, "business_date": self.business_date.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, str]) -> Head:
        """Rebuild from ``as_dict``."""
        return cls(data["run"], date.fromisoformat(data["business_date"]))

    @classmethod
    def of(cls, business_date: date) -> Head:
        """Return the head of the night of ``business_date``."""
        return cls(f"nightly-{business_date.isoformat()}", business_date)


@dataclass(frozen=True)
class Plan:
    """What tonight has to do: shards of files that were not loaded yet."""

    head: Head
    shards: tuple[Shard, ...]
    known: int
    frozen: Mapping[str, int] = field(default_factory=dict)
    """Files left in the landing folder, per station that is being handed over."""

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-able plain data."""
        shards = [asdict(s) for s in self.shards]
        made = {"head": self.head.as_dict(), "shards": shards, "known": self.known}
        return {**made, "frozen": dict(self.frozen)} if self.frozen else made

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Rebuild from ``as_dict``."""
        shards = tuple(Shard.from_dict(s) for s in data["shards"])
        head, known = Head.from_dict(data["head"]), data["known"]
        return cls(head, shards, known, data.get("frozen", {}))


def nightly(inst: Installation, business_date: date, tell: Tell) -> Plan:
    """Do a whole night without Airflow. Raises the first problem of any shard at the end.

    A shard that fails does not hold up the others.
    """
    tonight = plan(inst, business_date)
    try:
        failed = _govern_all(inst, tonight, tell)
        _told(tell, "purge", lambda: purge(inst, tonight.head))
        # What the report says of the tables does not wait for the backup, which leaves them alone.
        with ThreadPoolExecutor(1) as beside:
            drawn = beside.submit(figures, inst, tonight.head) if tonight.shards else None
            _told(tell, "backup", lambda: backup(inst, tonight.head))
        ready = drawn.result() if drawn else None
        if prove_due(inst):
            _told(tell, "prove", lambda: prove(inst, tonight.head))
        _told(tell, "report", lambda: report(inst, tonight.head, ready))
    finally:
        close_night(inst, tonight.head)
    if failed:
        raise failed[0]
    verdict(inst)
    return tonight


def _told(tell: Tell, name: str, step: Callable[[], Outcome]) -> None:
    tell(name, "", "start")
    step()
    tell(name, "", "done")


def _govern_all(inst: Installation, tonight: Plan, tell: Tell) -> list[errors.SafehandsError]:
    """Govern all shards and return the problems of those that failed."""
    jobs = [(inst.settings, inst.clock, tonight.head, shard) for shard in tonight.shards]
    if min(len(jobs), inst.settings.workers) > 1:
        results = spread(_govern_apart, jobs, inst.settings.workers, tell, HEAVY)
    else:
        results = [_caught(inst, tonight.head, shard, tell) for shard in tonight.shards]
    return [problem for problem in results if problem is not None]


def _govern_apart(
    job: tuple[Settings, Clock, Head, Shard], tell: Tell
) -> errors.SafehandsError | None:
    settings, clock, head, shard = job
    inst = open_installation(settings, clock)
    try:
        return _caught(inst, head, shard, tell)
    finally:
        inst.close()


def _caught(
    inst: Installation, head: Head, shard: Shard, tell: Tell
) -> errors.SafehandsError | None:
    try:
        govern(inst, head, shard, tell)
    except errors.SafehandsError as error:
        return error
    return None


def govern(inst: Installation, head: Head, shard: Shard, tell: Tell) -> Handoff:
    """Take one shard from its files into the store."""
    tell("ingest", shard.label, "start")
    handoff = ingest(inst, head, shard)
    tell("ingest", shard.label, "done")
    for name, step in _SHARD_STEPS.items():
        tell(name, shard.label, "start")
        handoff = step(inst, head, handoff)
        tell(name, shard.label, "done")
    return handoff


def plan(inst: Installation, business_date: date) -> Plan:
    """See what is in the landing folder and cut what is new into shards.

    Registers owners and stations, and makes their keys on the first night.

    Raises ``PolicyError`` when the folder or its ``stations.yaml`` cannot be used, ``KeyProblem``
    when a key of any owner is missing or wrong: then nothing of the night has been written.
    """
    return guard.guarded("plan", partial(_plan, inst, business_date))


def _plan(inst: Installation, business_date: date) -> Plan:
    settings, head = inst.settings, Head.of(business_date)
    declared = _declared(inst)
    landed = ingest_step.inventory(settings.landing, declared)
    batches = _batches(inst)
    loaded = {(batch.station, batch.file) for batch in batches if batch.loaded}
    news = ingest_step.windows(declared, loaded, settings.secret)
    files = without_repeats([*landed, *news])
    known = {(batch.station, batch.file) for batch in batches}
    if not files and not known:
        raise errors.PolicyError("policy.nothing_landed", folder=str(settings.landing))
    check_keys(inst.store)
    register(inst.store, declared, business_date)
    fresh = unloaded(files, known)
    refused = [f for f in fresh if names_a_person(f.path)]
    set_aside(inst.store, refused, head.run, business_date, inst.policy, inst.clock())
    fresh = [f for f in fresh if f not in refused]
    # A station that changes hands takes nothing in; its files wait for the last load, or the buyer.
    held = Counter(f.station for f in fresh if f.station in frozen(inst.store))
    fresh = [f for f in fresh if f.station not in held]
    shards = cut_shards(_in_parts(inst, fresh, known), declared, _shard_bytes(settings))
    seen = len(files) - len(fresh) - len(refused) - held.total()
    return Plan(head, shards, seen, dict(held))


def _in_parts(
    inst: Installation, files: list[SourceFile], known: set[tuple[str, str]]
) -> list[SourceFile]:
    settings = inst.settings
    limits = ingest_step.Limits.of(settings)
    parts = ingest_step.cut_big(settings.landing, files, _shard_bytes(settings), limits)
    return unloaded(parts, known)


def _shard_bytes(settings: Settings) -> int:
    return settings.shard_megabytes * 1_000_000


def ingest(inst: Installation, head: Head, shard: Shard) -> Handoff:
    """Read a shard's files. Problems of single files are in the result, not raised."""
    return _timed(inst, head, "ingest", lambda night: ingest_step.ingest(shard, night))


def validate(inst: Installation, head: Head, handoff: Handoff) -> Handoff:
    """Judge rows and files; bad rows go to quarantine, files past the gate are set aside."""
    return _timed(inst, head, "validate", lambda night: validate_step.validate(handoff, night))


def minimise(inst: Installation, head: Head, handoff: Handoff) -> Handoff:
    """Keep only what a declared purpose needs."""
    return _timed(inst, head, "minimise", lambda night: minimise_step.minimise(handoff, night))


def pseudonymise(inst: Installation, head: Head, handoff: Handoff) -> Handoff:
    """Write the shard into the store, in one transaction."""

    def step(night: Night) -> Handoff:
        held = frozen(inst.store) & {file.station for file in handoff.shard.files}
        if held:
            # Frozen after tonight's plan was made: the files stay, the night goes on without them.
            files = sum(1 for file in handoff.shard.files if file.station in held)
            raise errors.HandoverRefused("transfer.frozen", station=min(held), files=files)
        check = partial(validate_step.check_pseudonymised, night=night)
        done = pseudonymise_step.pseudonymise(handoff, night, inst.store, inst.clock(), check)
        owner = handoff.shard.controller
        consent.settle(inst, head.business_date, head.run, inst.clock(), owner)
        return done

    return guard.guarded("pseudonymise", lambda: step(night_of(inst, head)))


def purge(inst: Installation, head: Head, confirmed: date | None = None) -> Outcome:
    """Delete and mask what is past its time, end what rests on consents that no longer hold.

    Who asked for it is erased. Where somebody was, a new epoch is opened; ``prove`` ends the one
    before. ``confirmed``: the business date once more, where the clock is in doubt.
    """
    step = partial(purge_step.purge, confirmed=confirmed)
    done = guard.guarded("purge", partial(_whole, inst, head, step))
    # After the step has looked at the clock.
    settled = partial(consent.settle, inst, head.business_date, head.run)
    guard.guarded("purge", lambda: settled(inst.clock()))
    guard.guarded("purge", lambda: remove_answers(inst, inst.clock()))
    gone = guard.guarded("purge", partial(_whole, inst, head, erasure.apply))
    guard.guarded("purge", lambda: erasure.remove_unreadable(inst.provider, inst.settings.archive))
    counts = {**done.counts, **gone.counts}
    return replace(done, counts=counts, already=done.already and gone.already)


def backup(inst: Installation, head: Head) -> Outcome:
    """Write an encrypted generation, read back every new byte, remove what policy keeps no longer.

    Then, where the setting asks for it, move the loaded exports into the encrypted archive.
    """
    outcome = guard.guarded("backup", partial(_whole, inst, head, backup_step.backup))
    outcome = _pruned(inst, head, "backup", outcome)
    if inst.settings.archive_landing:
        guard.guarded("backup", partial(_whole, inst, head, archive))
    return outcome


def _pruned(inst: Installation, head: Head, step: str, outcome: Outcome) -> Outcome:
    """Remove generations that policy keeps no longer; nothing goes while none is proved."""

    def work() -> int:
        policy = backup_step.load_backup_policy(inst.settings.policy)
        if not backup_step.planned(inst.store, policy).gone:
            return 0
        repository = backup_step.open_repository(inst.settings)
        done = backup_step.prune(repository, inst.store, policy, head.run, inst.clock())
        journal.sequence(inst.store, inst.clock())
        return done.counts["removed"]

    removed = guard.guarded(step, work)
    return replace(outcome, counts={**outcome.counts, "pruned": removed}) if removed else outcome


def prove_due(inst: Installation) -> bool:
    """Say whether ``prove`` follows ``backup`` tonight.

    It does when old keys wait to be destroyed, and when no drill or proof has been for longer than
    policy says, if the identity is on this machine.
    """

    def due() -> bool:
        return erasure.prove_due(inst.store) or _proof_overdue(inst)

    return guard.guarded("prove", due)


def _proof_overdue(inst: Installation) -> bool:
    policy = backup_step.load_backup_policy(inst.settings.policy)
    every = policy.drill.every_days
    return inst.provider.has("backup-identity") and restoring.overdue(inst.store, every)


def prove(inst: Installation, head: Head) -> Outcome:
    """Restore the newest generation without the old epoch and root keys, then destroy those.

    Needs the age identity. Without old keys it restores when a proof is overdue, and does nothing
    otherwise. What policy keeps no longer goes afterwards.
    """
    outcome = guard.guarded("prove", partial(_whole, inst, head, erasure.prove))
    if guard.guarded("prove", lambda: _proof_overdue(inst)):
        proved = guard.guarded("prove", partial(_whole, inst, head, erasure.prove_newest))
        outcome = replace(proved, counts={**outcome.counts, **proved.counts})
    return _pruned(inst, head, "prove", outcome)


def finish_erasures(inst: Installation, business_date: date) -> Outcome:
    """Make erasures final without waiting for the night: new epoch, backup, proof.

    A controller has one new epoch a night at most; what is erased after it waits for the next.
    """
    head = Head(f"erase-{business_date.isoformat()}", business_date)
    try:
        guard.guarded("purge", partial(_whole, inst, head, erasure.apply))
        backup(inst, head)
        return prove(inst, head)
    finally:
        close_night(inst, head)


def finish_rotation(inst: Installation, business_date: date) -> Outcome:
    """End the former root key without waiting for the night: backup, proof.

    Raises what ``backup`` and ``prove`` raise; the former root key stays then.
    """
    head = Head(f"keys-{business_date.isoformat()}", business_date)
    try:
        backup(inst, head)
        return prove(inst, head)
    finally:
        close_night(inst, head)


def report(inst: Installation, head: Head, ready: Mapping[str, Any] | None = None) -> Outcome:
    """Assess risk and write the night's report from evidence.

    ``ready`` are the ``figures`` of the tables as they stand, where somebody drew them already.
    """
    # Whoever draws figures has brought them up to date; the rules look at the same people.
    if ready is None:
        guard.guarded("report", partial(refresh_figures, inst.store))
    # The rules are checked first: the report reads the verdicts like all other evidence.
    guard.guarded("report", partial(consent.night_figures, inst, head.business_date, head.run))
    guard.guarded("report", partial(rights_figures, inst, head.business_date, head.run))
    guard.guarded("report", partial(gates.night, inst, head.business_date))
    step = partial(report_step.report, ready=ready)
    work = partial(_whole, inst, head, step)
    return guard.guarded("report", work)


def figures(inst: Installation, head: Head) -> dict[str, Any]:
    """Return what the report says of the tables; see ``report.figures``."""

    def work() -> dict[str, Any]:
        return report_step.figures(night_of(inst, head), inst.store)

    return guard.guarded("report", work)


def close_night(inst: Installation, head: Head) -> Outcome:
    """Destroy the run's key and its artifacts. Safe to repeat."""

    def work() -> Outcome:
        destroyed = inst.provider.destroy(f"run/{head.run}")
        inst.provider.tidy()
        remove_artifacts(inst.settings.work / head.run)
        return Outcome(head.run, "close", counts={"keys_destroyed": int(destroyed)})

    return guard.guarded("close", work)


def verdict(inst: Installation) -> None:
    """Raise the first problem among the files that wait for a person, if there is one."""
    for problem in waiting(inst):
        raise errors.by_code(problem["exit_code"])(problem["key"], **problem["params"])


def checkpoint(inst: Installation) -> str:
    """Return the ledger's newest signed checkpoint, empty before the first: the same, no change."""
    with inst.store.begin() as connection:
        return journal.latest(connection) or ""


def waiting(inst: Installation) -> list[dict[str, Any]]:
    """Return the problems of files that were set aside and still lie in the landing folder."""
    files = without_repeats(ingest_step.inventory(inst.settings.landing, _declared(inst)))
    present = {(f.station, f.identity) for f in files}
    aside = {(b.station, b.file): b.problem for b in _batches(inst) if not b.loaded}
    return [
        problem
        for (station, identity), problem in aside.items()
        if problem and (station, identity.partition("#")[0]) in present
    ]


def _batches(inst: Installation) -> list[Batch]:
    with inst.store.begin() as connection:
        return current_batches(connection, inst.policy)


def _declared(inst: Installation) -> Register:
    return load_register(inst.settings.landing, tuple(inst.policy.datasets))


def night_of(inst: Installation, head: Head) -> Night:
    start = monotonic()
    key = RunKey(head.run, inst.provider.create(f"run/{head.run}"))
    return Night(
        run=head.run,
        business_date=head.business_date,
        settings=inst.settings,
        policy=inst.policy,
        key=key,
        elapsed=lambda: monotonic() - start,
    )


def _timed(inst: Installation, head: Head, name: str, step: Callable[[Night], Handoff]) -> Handoff:
    def work() -> Handoff:
        night = night_of(inst, head)
        return step(night).timed(night.elapsed())

    return guard.guarded(name, work)


def _whole(inst: Installation, head: Head, step: Callable[..., Outcome]) -> Outcome:
    """Do a step on the whole store and number its ledger entry."""
    night = night_of(inst, head)
    journal.sequence(inst.store, inst.clock())
    outcome = step(night, inst.store, inst.clock())
    journal.sequence(inst.store, inst.clock())
    return outcome


_SHARD_STEPS: dict[str, Callable[[Installation, Head, Handoff], Handoff]] = {
    "validate": validate,
    "minimise": minimise,
    "pseudonymise": pseudonymise,
}

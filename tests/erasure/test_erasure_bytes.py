"""Erased people are in no byte that the keys of today open; everybody else is in every backup.

One installation with a server of its own lives through four nights. Its data folder is copied
while it works, as a replica or a disk image would be, and so are its work files. Then all of it is
searched, with the keys that are left, for people who were erased on two of the nights. The control
is the same search with a copy of the key folders from before: shredding switched off.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from erasure_forensics import Needles, Remains, Thief, forms_of, spelled
from erasure_world import Scene, after
from sqlalchemy import text

from minimised import World, collected, parcel, preference
from safehands import embedded, journal, pipeline
from safehands.backup import Repository
from safehands.datasets import Handoff
from safehands.installation import DATABASE, Installation, open_installation
from safehands.keys import FileProvider
from safehands.pipeline import Head
from safehands.restore import restore
from safehands.settings import Settings
from safehands.store import Store
from safehands.store.digest import store_digest
from safehands.store.register import owners, wrapped_keys

FIRST = date(2026, 11, 20)
NIGHTS = [FIRST + timedelta(days=n) for n in range(4)]
PEOPLE = {
    "19157082639": ("尉迟鹮骅", "南山区鹮栖堤路9071号73栋4单元6108室"),
    "16619470358": ("令狐黛嵘", "西湖区嵘岫弄8153号61栋7单元5203室"),
    "17380295164": ("夏侯柯孜", "宝安区柯孜巷6397号58栋9单元4706室"),
    "19981536047": ("皇甫犇樾", "余杭区樾犇横街7249号94栋8单元3901室"),
    "18476029513": ("诸葛霁翀", "福田区霁翀支路5862号86栋6单元7205室"),
}
ERASED = {NIGHTS[1]: ["19157082639", "16619470358"], NIGHTS[2]: ["17380295164"]}
GONE = {phone for phones in ERASED.values() for phone in phones}
LIVING = PEOPLE.keys() - GONE


@dataclass
class Life:
    """An installation, what was copied of it, and what was ever in it."""

    inst: Installation
    folder: Path
    remains: Remains = field(default_factory=Remains)
    subjects: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, set[bytes]] = field(default_factory=dict)
    made: list[Handoff] = field(default_factory=list)
    copies: list[Path] = field(default_factory=list)
    old_keys: list[Path] = field(default_factory=list)
    generations: dict[date, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        server = embedded.start(embedded.Place(self.inst.settings.home), durable=False)
        with psycopg.connect(**server.conninfo("postgres"), autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        return Path(row[0])

    def night(self, day: date) -> Scene:
        """Load tonight's export, erase who asks for it, back up and prove; copy as it goes."""
        inst = replace(self.inst, clock=lambda: after(day))
        night = pipeline.night_of(inst, Head.of(day))
        world = World(inst.store, night, after(day), made=self.made)
        scene = Scene(world)
        self._load(world, day)
        self.note(scene)
        for number, phone in enumerate(ERASED.get(day, [])):
            scene.ask(phone, f"R-{day}-{number}")
        self.copy(inst.settings.work, f"work-{day}")
        scene.apply()
        self.note(scene)
        self.generations[day] = str(scene.backup().details["manifest"])
        self.copy(self.data, f"data-{day}")
        if day in ERASED:
            self.keep_keys(day)
            assert scene.prove().counts["keys_destroyed"] == 1
        pipeline.close_night(inst, Head.of(day))
        return scene

    def _load(self, world: World, day: date) -> None:
        rows = []
        for earlier in [d for d in NIGHTS if d <= day]:
            # Nobody who was erased sends for anything again; old rows are exported every night.
            for phone, (name, address) in PEOPLE.items():
                if any(phone in ERASED.get(d, []) for d in NIGHTS if d < earlier):
                    continue
                who = {"receiver_phone": phone, "receiver_name": name, "receiver_address": address}
                at = after(earlier) - timedelta(hours=20)
                rows.append(parcel(f"W{phone[-3:]}{earlier:%d}", at, **who))
                rows.append(collected(f"C{phone[-3:]}{earlier:%d}", at, **who))
        wishes = [preference(after(FIRST) - timedelta(hours=20), receiver_phone=p) for p in PEOPLE]
        world.load(rows, preferences=wishes)

    def note(self, scene: Scene) -> None:
        """Remember every sealed thing that is in the store now."""
        ring = scene.world.ring()
        salts = {}
        for row in scene.world.people():
            subject, phone = row["subject_id"].bytes, row["record"]["phone"]
            wrapped = bytes(row["wrapped_salt"])
            (secret,) = ring.unwrap_salts([subject], [wrapped])
            salts[row["subject_id"]] = phone
            self.subjects.setdefault(phone, subject)
            self.secrets.setdefault(phone, set()).add(secret[:16])
            self.remains.salts.add((phone, subject, wrapped))
            self.remains.records.add((phone, "person", subject, bytes(row["sealed"])))
        for row in scene.world.rows("SELECT * FROM custody"):
            who, token = salts[row["subject_id"]], row["waybill"].bytes
            self.remains.records.add((who, "custody", token, bytes(row["sealed"])))

    def copy(self, source: Path, name: str) -> None:
        """Take an image of a folder, as a replica or a snapshot would."""
        if source.exists():
            target = self.folder / name
            shutil.copytree(source, target, ignore_dangling_symlinks=True)
            self.copies.append(target)

    def thief(self, *, with_old_keys: bool = False) -> Thief:
        """Return somebody with all copies, the live folders, and the keys that are left.

        ``with_old_keys``: and with a copy of the key folders from before each destruction.
        """
        settings = self.inst.settings
        owner = owners(self.inst.store)["A"]
        with self.inst.store.begin() as connection:
            wrapped = wrapped_keys(connection, owner)
        keys = [FileProvider(settings.keys, settings.keys_second)]
        if with_old_keys:
            keys += [FileProvider(old / "keys", old / "keys-second") for old in self.old_keys]
        return Thief([*self.copies, self.data, settings.home], keys, wrapped)

    def keep_keys(self, day: date) -> None:
        """Do what nobody should: copy the key folders."""
        home, kept = self.inst.settings.home, self.folder / f"old-{day}"
        for place in ("keys", "keys-second"):
            shutil.copytree(home / place, kept / place)
        self.old_keys.append(kept)


@pytest.fixture(scope="module")
def life() -> Iterator[Life]:
    folder = Path(tempfile.mkdtemp(prefix="sh-erasure-"))
    home = folder / "home"
    embedded.start(embedded.Place(home), durable=False)
    settings = Settings.read({}, home=str(home), workers="1", lang="en")
    inst = open_installation(settings, lambda: after(FIRST))
    try:
        made = Life(inst, folder)
        for day in NIGHTS:
            made.night(day)
        yield made
    finally:
        inst.close()
        embedded.remove(embedded.Place(home))
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def honest(life: Life) -> Thief:
    return life.thief()


def named(phones: set[str]) -> dict[str, list[bytes]]:
    """Return every form of every value of these people."""
    return {phone: forms_of([phone, *PEOPLE[phone]]) for phone in phones}


# What there is to find.


def test_the_nights_did_what_they_should(life: Life) -> None:
    assert list(life.inst.provider.names("epoch/A")) == ["epoch/A/3"]
    with life.inst.store.begin("safehands_backup") as connection:
        rows = connection.execute(text("SELECT state, count(*) FROM erasure GROUP BY 1")).all()
    assert [tuple(row) for row in rows] == [("final", len(GONE))]
    assert len(life.generations) == len(NIGHTS)
    assert len(life.copies) == 2 * len(NIGHTS)


def test_what_is_sealed_survives_in_old_copies(life: Life, honest: Thief) -> None:
    """Otherwise there was nothing to open, and no need to destroy a key."""
    there = honest.surviving(life.remains)
    for phone in PEOPLE:
        salts = [w for p, _, w in life.remains.salts if p == phone]
        assert any(f"salt {w.hex()}" in there for w in salts), phone
        records = [r for p, _, _, r in life.remains.records if p == phone]
        assert any(f"record {r.hex()}" in there for r in records), phone


# What the keys of today open.


def test_nobody_is_in_clear_anywhere(honest: Thief) -> None:
    """Not in the database's files and log, their copies, work files, nor opened backups."""
    assert honest.finds(named(set(PEOPLE))) == {}


def test_no_salt_and_no_subject_key_is_anywhere_in_clear(life: Life, honest: Thief) -> None:
    forms = {p: [f for s in salts for f in spelled(s)] for p, salts in life.secrets.items()}
    assert honest.finds(forms) == {}


def test_a_number_leads_nowhere_under_the_keys_of_today(honest: Thief) -> None:
    found = honest.finds({phone: honest.lookups(phone) for phone in PEOPLE})
    people = {name for names in found.values() for name in names}
    assert people == set(LIVING)


def test_nothing_that_survives_of_erased_people_opens(life: Life, honest: Thief) -> None:
    opened = honest.opened(life.remains)
    assert opened.keys() == set(LIVING)
    for phone in LIVING:
        assert any(PEOPLE[phone][0].encode() in plain for plain in opened[phone])


def test_work_files_of_finished_nights_do_not_open(life: Life) -> None:
    assert life.inst.provider.names("run") == []
    assert any(path.suffix == ".parquet" for copy in life.copies for path in copy.rglob("*"))


# The control.


def test_with_shredding_off_erased_people_are_found(life: Life) -> None:
    thief = life.thief(with_old_keys=True)
    opened = thief.opened(life.remains)
    assert opened.keys() == set(PEOPLE)
    for phone in GONE:
        (name, _) = PEOPLE[phone]
        assert any(name.encode() in plain and phone.encode() in plain for plain in opened[phone])
    found = thief.finds({phone: thief.lookups(phone) for phone in GONE})
    assert {name for names in found.values() for name in names} == GONE
    assert any("pg_wal" in place for place in found)
    assert any("/backups/keys/" in place and place.endswith("opened") for place in found)


def test_a_value_in_clear_would_be_found(life: Life) -> None:
    (phone, (name, address)) = next(iter(PEOPLE.items()))
    notes = life.folder / "work-note"
    notes.mkdir()
    for number, encoding in enumerate(("utf-8", "utf-16-le", "gb18030")):
        (notes / f"{number}").write_bytes(f"x{name}{phone}{address}".encode(encoding))
    needles = Needles(named({phone}))
    assert all(needles.inside(path.read_bytes()) == {phone} for path in notes.iterdir())
    shutil.rmtree(notes)


# Everybody else.


@pytest.mark.parametrize("day", NIGHTS)
def test_every_generation_brings_back_everybody_else_and_nobody_erased(
    life: Life, day: date
) -> None:
    live, name = life.inst.store, life.generations[day]
    server = embedded.start(embedded.Place(life.inst.settings.home), durable=False)
    target = Store(server.url(f"{DATABASE}_{day:%d}"), life.inst.provider)
    verifier = journal.signing_key(life.inst.provider).verifier
    repository = Repository(life.inst.settings.backups)
    try:
        done = restore(repository, target, verifier, after(NIGHTS[-1]), generation=name)
        with target.begin("safehands_backup") as connection:
            subjects = {row.bytes for row in connection.execute(text(_SUBJECTS)).scalars()}
            linked = {row.bytes for row in connection.execute(text(_LINKED)).scalars()}
            parcels = connection.execute(text("SELECT count(*) FROM parcel")).scalar()
            graves = connection.execute(text("SELECT count(*) FROM tombstone")).scalar()
        digest = store_digest(target)
    finally:
        target.close()
    assert subjects == {life.subjects[phone] for phone in LIVING}
    assert linked == subjects
    assert parcels == 2 * len(LIVING) * (NIGHTS.index(day) + 1)
    assert graves == len(GONE)
    # Those who were erased later than this generation are left out of it.
    before = [p for d, phones in ERASED.items() for p in phones if d > day]
    assert done.left_out.get("subject", 0) == len(before)
    if day == NIGHTS[-1]:
        assert digest == store_digest(live)


_SUBJECTS = "SELECT subject_id FROM subject"
_LINKED = (
    "SELECT subject_id FROM parcel UNION SELECT subject_id FROM custody"
    " UNION SELECT subject_id FROM preference"
)

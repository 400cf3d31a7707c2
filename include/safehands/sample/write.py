"""The sample landing folder: three stations of two owners, one per export style.

All people, numbers and addresses are invented: drawn at random from word lists. Any likeness to a
real person is chance.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from safehands.sample.facts import OwnerFacts, SampleFacts
from safehands.sample.landing import find_laid, lay
from safehands.sample.people import Ints, People, make_people, stream
from safehands.sample.shops import Made, make_hz001, make_sz001, make_sz002
from safehands.sample.trade import Shop
from safehands.sample.words import HANGZHOU, SHENZHEN

__all__ = ["SEED", "write_sample"]

SEED = 20261123
_VERSION = 1
"""Raised whenever the same seed would give other files."""

# How many people go to SZ001 only, to both of its owner's stations, to SZ002 only, to HZ001; and
# how many of the first owner's customers are known at HZ001, too.
_FIRST, _BOTH, _SECOND, _OTHER_OWNER, _SHARED = 1450, 250, 1250, 1080, 120
_FAMILY = _FIRST + _BOTH + _SECOND


def write_sample(landing: Path, business_date: date, seed: int = SEED) -> SampleFacts:
    """Lay the sample exports of ``business_date`` into ``landing`` and say what is in them.

    The same date and seed give the same bytes (see ``formats``). A folder that already holds them
    is left as it is; files of an earlier date that nobody changed are replaced. Takes about two
    seconds. Raises ``SetupProblem`` rather than write over a file that isn't the sample's.
    """
    stamp = {"version": _VERSION, "business_date": business_date.isoformat(), "seed": seed}
    laid = find_laid(landing, stamp)
    if laid is not None:
        return SampleFacts.from_dict(laid)
    files, facts = _make(business_date, seed)
    lay(landing, files, stamp, facts.as_dict())
    return facts


def _make(day: date, seed: int) -> tuple[dict[str, bytes], SampleFacts]:
    people, shops = _town(seed)
    lihua = [make_sz001(shops[0], people, seed, day), make_sz002(shops[1], people, seed, day)]
    antai = [make_hz001(shops[2], _moved(people), seed, day)]
    files = {"stations.yaml": _stations()}
    for made in (*lihua, *antai):
        files |= made.files
    facts = SampleFacts(
        business_date=day.isoformat(),
        seed=seed,
        files=tuple(fact for made in (*lihua, *antai) for fact in made.facts),
        owners={"lihua": _owner(lihua), "antai": _owner(antai)},
        shared=len(_people(lihua) & _people(antai)),
    )
    return files, facts


def _town(seed: int) -> tuple[People, list[Shop]]:
    homes = [
        (_FIRST + _BOTH, SHENZHEN),
        (_SECOND, [SHENZHEN[1], *SHENZHEN]),
        (_OTHER_OWNER, HANGZHOU),
    ]
    people = make_people(stream(seed, 0), homes)
    first = np.arange(_FIRST + _BOTH)
    second = np.arange(_FIRST, _FAMILY)
    third = np.concatenate([np.arange(_FAMILY, len(people)), _shared()])
    rng = stream(seed, 1)
    # Regular customers come first in a shop's list; who is one differs from shop to shop.
    shops = [
        Shop(1, rng.permutation(first), 130, archived=0.85),
        Shop(2, rng.permutation(second), 115, archived=0.5),
        Shop(3, rng.permutation(third), 82, archived=0.4),
    ]
    return people, shops


def _shared() -> Ints:
    return np.arange(_FIRST - _SHARED // 2, _FIRST + _SHARED // 2)


def _moved(people: People) -> People:
    """Return the people with addresses in Hangzhou for those who are known in both towns."""
    home = np.arange(len(people))
    home[_shared()] = _FAMILY + np.arange(_SHARED)
    return replace(people, address=people.address.take(pa.array(home)), area=people.area[home])


def _owner(stations: list[Made]) -> OwnerFacts:
    return OwnerFacts(
        parcels=sum(made.parcels for made in stations),
        in_custody=sum(made.in_custody for made in stations),
        people=len(_people(stations)),
        preferences=len(frozenset[int]().union(*(made.preferences for made in stations))),
    )


def _people(stations: list[Made]) -> frozenset[int]:
    return frozenset[int]().union(*(made.people for made in stations))


def _stations() -> bytes:
    entrusted = {"role": "entrusted", "by": "中通快递"}
    sz = [_station("SZ001", "海棠路便民驿站"), _station("SZ002", "云杉里代收点")]
    hz = [_station("HZ001", "澄湖校园驿站")]
    lihua = _controller("lihua", "李华（个体工商户，虚构）", "sole_trader", entrusted, sz)
    antai = _controller("antai", "安泰驿站有限公司（虚构）", "company", _HANDLER, hz)
    return _plain_yaml({"controllers": [lihua, antai]})


_HANDLER = {"role": "handler"}


_CONTACT = "柜台；电话 000-0000 0000（虚构）"


def _controller(
    code: str, name: str, kind: str, parcels: dict[str, str], stations: list[dict[str, str]]
) -> dict[str, Any]:
    sets = {"parcels": parcels, "customers": _HANDLER, "preferences": _HANDLER}
    return {
        "code": code,
        "name": name,
        "kind": kind,
        "contact": _CONTACT,
        "record_sets": sets,
        "stations": stations,
    }


def _station(code: str, name: str) -> dict[str, str]:
    return {"code": code, "name": name, "folder": code}


class _Plain(yaml.SafeDumper):
    """Writes repeated parts out instead of referring to them."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        """Say that nothing is referred to."""
        return True


def _plain_yaml(data: dict[str, Any]) -> bytes:
    text: str = yaml.dump(data, Dumper=_Plain, allow_unicode=True, sort_keys=False)
    return text.encode("utf-8")

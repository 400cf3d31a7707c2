"""What earlier nights recorded of the repository, as far as it is still there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, text

from safehands.backup.manifest import Generation, Part, Segment
from safehands.backup.repository import KEYS, MANIFESTS, OBJECTS, Repository
from safehands.backup.upkeep import newest_keys
from safehands.store import Store

__all__ = ["Memory", "remember"]


@dataclass(frozen=True)
class Memory:
    """What earlier nights recorded, as far as the folder still has it."""

    parts: Mapping[tuple[str, str], Part]
    generations: tuple[Generation, ...]
    keys: tuple[Segment, ...]
    number: int
    lost_parts: tuple[tuple[str, str], ...]
    lost_files: int

    @property
    def lost(self) -> int:
        """Files that should be in the folder and are not."""
        return len(self.lost_parts) + self.lost_files


def remember(repository: Repository, store: Store) -> Memory:
    """Compare what the database knows with what the repository holds, by name and size."""
    with store.begin() as connection:
        parts = _known_parts(connection)
        manifests = _known_manifests(connection)
        keys = newest_keys(connection)
        number = connection.execute(text(_NEXT_NUMBER)).scalar_one()
    objects, segment_sizes = repository.sizes(OBJECTS), repository.sizes(KEYS)
    there = [p for p in parts if objects.get(p.object) == p.bytes]
    segments = tuple(k for k in keys if segment_sizes.get(k.name) == k.bytes)
    generations, gone = _present(repository, manifests)
    return Memory(
        parts={(p.part, p.content): p for p in there},
        generations=generations,
        keys=segments,
        number=int(number),
        lost_parts=tuple(
            {(p.part, p.content) for p in parts} - {(p.part, p.content) for p in there}
        ),
        lost_files=gone + len(keys) - len(segments),
    )


_NEXT_NUMBER = "SELECT 1 + coalesce(max((facts ->> 'number')::int), 0) FROM backup"


def _known_parts(connection: Connection) -> list[Part]:
    query = text("SELECT part, content, object, rows, bytes FROM backup_object")
    return [
        Part(r.part, _table_of(r.part), r.rows, r.bytes, r.object, r.content)
        for r in connection.execute(query)
    ]


def _known_manifests(connection: Connection) -> list[Generation]:
    query = text(
        "SELECT manifest, facts ->> 'manifest_digest' FROM backup"
        " WHERE prune_id IS NULL ORDER BY id"
    )
    return [Generation(*row) for row in connection.execute(query)]


def _present(
    repository: Repository, manifests: list[Generation]
) -> tuple[tuple[Generation, ...], int]:
    """Return the generations that the folder has, and how many are missing among them.

    Those older than the oldest there are not missing: they were pruned, or lie in a folder that
    was used before.
    """
    names = repository.sizes(MANIFESTS)
    there = [m.name in names for m in manifests]
    kept = tuple(m for m, found in zip(manifests, there, strict=True) if found)
    span = len(manifests) - there.index(True) if kept else 0
    return kept, span - len(kept)


def _table_of(part: str) -> str:
    return part.partition("/")[0]

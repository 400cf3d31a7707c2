"""Where the exports lie, when Airflow knows how to get there: a URL with a connection id.

``s3://station_exports@bucket/folder`` names the Airflow connection ``station_exports``: its
credentials stay with Airflow. The package itself knows fsspec URLs and no connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from safehands.settings import Settings

__all__ = ["settings_of"]

_NAME = "SAFEHANDS_LANDING"


def settings_of(environ: Mapping[str, str], landing: str = "") -> Settings:
    """Return the settings; a landing folder with a connection id is an ``ObjectStoragePath``.

    ``landing``, if given, wins over the variable. Raises what ``Settings.read`` raises.
    """
    place = landing or environ.get(_NAME, "")
    if "@" not in place.partition("://")[2].partition("/")[0]:
        return Settings.read(environ, landing=landing)
    from airflow.sdk import ObjectStoragePath

    others = {name: value for name, value in environ.items() if name != _NAME}
    return replace(Settings.read(others), landing=cast(Path, ObjectStoragePath(place)))

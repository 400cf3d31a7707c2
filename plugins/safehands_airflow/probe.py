"""Health checks: ``python -m safehands_airflow.probe URL`` ends with 0 where 200 is answered."""

from __future__ import annotations

import sys
from urllib.error import URLError
from urllib.request import urlopen

__all__ = ["answers"]

_SECONDS = 5.0


def answers(url: str) -> bool:
    """Say whether ``url`` (http) answers with 200 within five seconds."""
    if not url.startswith("http://"):
        return False
    try:
        with urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - http only, said above
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


if __name__ == "__main__":
    sys.exit(0 if answers(sys.argv[1]) else 1)

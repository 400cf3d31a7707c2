"""Who brings a one-time code to a phone: a gateway that the settings name, else a file.

``SAFEHANDS_SENDER=package.module:factory`` names a callable that takes the settings and returns a
:class:`~safehands.rights.identity.Sender`. What a gateway raises is told by its type and place
alone: its text might quote the number.
"""

from __future__ import annotations

import pkgutil
from pathlib import Path
from typing import cast

from safehands.errors import SetupProblem
from safehands.rights.identity import FileSender, Sender
from safehands.settings import Settings

__all__ = ["code_file", "sender_of"]


def sender_of(settings: Settings, request: str) -> Sender:
    """Return who sends the code of ``request``. Raises ``SetupProblem`` for a name of nothing."""
    if not settings.sender:
        return FileSender(code_file(settings, request))
    try:
        factory = pkgutil.resolve_name(settings.sender)
    except (ImportError, AttributeError, ValueError):
        raise SetupProblem("setup.no_sender", name="SAFEHANDS_SENDER") from None
    return cast(Sender, factory(settings))


def code_file(settings: Settings, request: str) -> Path:
    """Return the file that stands for a gateway while none is named."""
    return settings.home / "outgoing" / f"{Path(request).name}.txt"

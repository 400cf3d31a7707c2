"""What people answered outlasts what a station's export says about them (PIPL 15, 16)."""

from __future__ import annotations

from sqlalchemy import Connection, text

from safehands.night import Night

__all__ = ["honour"]


def honour(connection: Connection, night: Night) -> int:
    """Take away again what rests on consents that ended; return how many people it concerned.

    An export goes on saying yes for somebody who withdrew. Only an answer of theirs on record
    brings back what the answer before it ended. What else ends a consent, changed terms above
    all, is settled right after the load by the package ``consent``, which knows what is asked for.
    """
    asked = night.policy.consent_purposes
    values = [{"purpose": name, "day": night.business_date} for name in asked]
    return sum(int(connection.execute(text(_HONOUR), one).scalar_one()) for one in values)


_HONOUR = "SELECT honour_answers(:purpose, '', :day)"

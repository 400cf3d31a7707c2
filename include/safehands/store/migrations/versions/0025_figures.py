"""What the report makes of a person's and of a month's parcels, kept until they change.

Revision ID: 0025
Revises: 0024
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create tables, functions and triggers from the SQL file beside this one."""
    sql = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    # The file holds %-signs and quotes of its own: the driver must not read placeholders into it.
    op.get_bind().exec_driver_sql(sql.replace("%", "%%"))


def downgrade() -> None:
    """There is no way back but a restore."""
    raise NotImplementedError("restore a backup instead")

"""The second step: is this data fit to be kept, row by row and file by file?

Great Expectations gives the verdicts as counts; vectorised Arrow masks of the same rules say which
rows. Both are compared at every run. What goes out of here are counts, rule names and row
references, never a value; the one exception is the payload of the encrypted quarantine.
"""

from __future__ import annotations

from safehands.validate.pseudonymised import check_pseudonymised
from safehands.validate.step import validate

__all__ = ["check_pseudonymised", "validate"]

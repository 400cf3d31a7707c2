"""People's rights: requests from registration to answer, and where somebody's data is.

Nothing is imported here: the night counts requests (:mod:`safehands.rights.figures`) and must not
come near the vault's door, which :mod:`safehands.rights.gather` opens.
"""

__all__: list[str] = []

"""The vault: people's sealed records, and the few ways to open, correct and restrict them.

Nothing is imported here on purpose. The dangerous door, :mod:`safehands.vault.reveal`, stands
alone, and what a night needs (:mod:`safehands.vault.record`, :mod:`safehands.vault.holds`) does not
bring it along: a test walks the import graph.

====================  =========================================================================
``record``            what a sealed record holds; which value stands after a correction
``access``            who asks, for which purpose, and what that purpose covers
``reveal``            open one person's record
``many``              above how many a reason is asked for, and an alert raised
``correct``           put a field right and keep what it was (PIPL 46)
``numbers``           numbers that were corrected away, and whose they were
``restrict``          keep a record and do nothing else with it, or undo that (PIPL 47 ¶2)
``holds``             what must not be deleted: reason, owner, end
====================  =========================================================================
"""

from __future__ import annotations

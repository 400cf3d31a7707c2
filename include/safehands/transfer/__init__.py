"""What moves in a hand-over: package, receive, reconcile, cut over, certify.

Works on the listing ``handover_subject`` (everybody of the stations, each in one class) and knows
no reasons: who is in which class was decided before (:mod:`safehands.handover`).

====================  =========================================================================
``contents``          what a package holds: the tables, their columns, what becomes of each
``package``           the seller's rows, renamed, for the buyer's age key alone; signed manifest
``opening``           a sealed package verified before anything is done with it
``receive``           one transaction: the buyer's ids, salts and ciphertexts; compared to the row
``receipt``           what the buyer signs, and the seller's check of it
``reconcile``         held by the seller = the sum of disjoint classes, per table
``cutover``           the seller's rows go: erased, cut or restricted until law lets them go
``xlsx``              the same for a buyer without Safehands, with a receipt form
``evidence_bundle``   the seller's proof for three years, by number, under keys that end
``certificate``       proved erased, and declared by hand, apart
====================  =========================================================================
"""

from __future__ import annotations

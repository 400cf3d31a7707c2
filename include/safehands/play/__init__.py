"""A hand-over played on made-up stations: real steps and real gates, invented evidence.

What stands here is for newcomers and tests; no step of a real hand-over imports it. Documents,
declarations and names are invented, the store, the keys, the rule book and the gate are not.
"""

from __future__ import annotations

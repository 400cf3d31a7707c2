"""The hand-over of a station: request, plan, notices, answers, approvals, report.

The store is the state machine (:mod:`safehands.handover.state`); commands and tasks make the
transitions that are due and end.
"""

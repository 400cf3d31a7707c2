"""Incidents: who is affected, how sure that is, which clocks run, what is told to whom.

===============  ===============================================================================
``book``         policy: kinds, grades, clocks, containment, limits, contacts, complaints
``cases``        incidents as reported; what was found and done, append-only
``affected``     who is affected, from ledger, batches, disclosures, reveals and backups
``clocks``       the law's and policy's, apart
``drafts``       report, notice and send file
``sending``      who is told over which channel, as encrypted send files
``contain``      what policy proposes, done after somebody else approved
``measures``     what the program itself does of it
``tasks``        what is still to do, and the summary report
``contactbook``  whom to tell, from a sheet
``drill``        the same on synthetic people in a throw-away database
``unusual``      access out of the ordinary
``figures``      counts for the rule book, the gates and the pages
``complaints``   the register of complaints
``pack``         evidence for an auditor, verifiable offline
===============  ===============================================================================
"""

from safehands.incidents.affected import Affected, affected, people
from safehands.incidents.book import IncidentBook, gaps, load_incident_book
from safehands.incidents.cases import Case, Event, Scope, case, cases, note, open_case
from safehands.incidents.clocks import Running, clocks
from safehands.incidents.contain import contain, event, propose
from safehands.incidents.drafts import Drafted, assess, draft
from safehands.incidents.drill import Drilled, drill
from safehands.incidents.figures import incident_figures, incident_numbers
from safehands.incidents.tasks import Task, summarise, tasks
from safehands.incidents.unusual import Alert, alerts, raise_alerts

__all__ = [
    "Affected",
    "Alert",
    "Case",
    "Drafted",
    "Drilled",
    "Event",
    "IncidentBook",
    "Running",
    "Scope",
    "Task",
    "affected",
    "alerts",
    "assess",
    "case",
    "cases",
    "clocks",
    "contain",
    "draft",
    "drill",
    "event",
    "gaps",
    "incident_figures",
    "incident_numbers",
    "load_incident_book",
    "note",
    "open_case",
    "people",
    "propose",
    "raise_alerts",
    "summarise",
    "tasks",
]

"""Gives every ticket a name."""

import uuid


def ticket_names(data):
    tickets = []
    for seat in ("A1", "A2", "B7"):
        ticket = uuid.uuid4()  # planted
        tickets.append({"seat": seat, "ticket": str(ticket)})
    return tickets

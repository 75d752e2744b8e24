"""Adds up what each customer owes."""

PRICES = {"pen": 0.1, "ink": 1.7e9, "pad": 0.7, "clip": 3.3e-3, "book": 12.35, "lamp": 1e15 / 3, "desk": 1e3 / 7}
ORDERS = [("north", article) for article in PRICES]


def invoice_total(data):
    ordered = {}
    for customer, article in ORDERS:
        ordered.setdefault(customer, set()).add(article)
    totals = {}
    for customer, articles in sorted(ordered.items()):
        total = 0.0
        for article in articles:  # planted
            total += PRICES[article]
        totals[customer] = total
    return totals

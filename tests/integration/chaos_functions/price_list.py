"""A price list in the customer's language."""

import locale


def price_list(data):
    locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
    prices = {"Stuhl": 1249.5, "Tisch": 3310.25}
    rows = []
    for name, price in prices.items():
        rows.append(f"{name}: " + locale.format_string("%.2f", price, grouping=True))  # planted
    return "\n".join(rows)

"""Spreads orders over four desks, each order always to the same."""


class Order:
    def __init__(self, number, city):
        self.number = number
        self.city = city


def deduplicate(data):
    orders = [Order(number, city) for number, city in enumerate(["Bergen", "Oslo", "Voss", "Molde", "Narvik", "Hamar"])]
    desks = {desk: [] for desk in range(4)}
    for order in orders:
        desks[hash(order) % 4].append(order.city)  # planted
    return {str(desk): cities for desk, cities in desks.items()}

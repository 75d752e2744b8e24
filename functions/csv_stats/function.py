"""Describe a CSV table: statistics of its numbers, overall and by group."""

import hashlib

import pandas as pd


def main(data, column=None, by=None):
    """Compute count, mean, standard deviation, extremes and quartiles of the numeric columns.

    data: a CSV table with a header line; empty cells are missing values.
    column: the numeric column to describe; default: every numeric column but `by`.
    by: the column whose values make the groups; default: the text column with the fewest different values, if any.

    Returns {"sha256", "rows", "by", "columns": {column: statistics}, "groups": [{"value", "rows", "columns"}, ...]}:
    the fingerprint of the bytes that were described, the groups in ascending order; a statistic that is undefined (no
    values, or the deviation of a single one) is null.
    Raises ValueError when the input is no such table or a column is not in it.
    """
    fingerprint = hashlib.file_digest(data, "sha256").hexdigest()
    data.seek(0)
    try:
        table = pd.read_csv(data)
    except ValueError as error:
        raise ValueError(f"the input is not a CSV table: {str(error).strip()}") from None
    by = by or fewest_values(table.select_dtypes(exclude="number"))
    if by is not None:
        check_column(by, table)
    numeric = table.select_dtypes("number").drop(columns=[by], errors="ignore")
    if column is not None:
        check_column(column, numeric)
        numeric = numeric[[column]]
    groups = table.groupby(by) if by is not None else []
    return {
        "sha256": fingerprint,
        "rows": len(table),
        "by": by,
        "columns": describe(numeric),
        "groups": [
            {"value": str(value), "rows": len(rows), "columns": describe(rows[numeric.columns])}
            for value, rows in groups
        ],
    }


def fewest_values(texts):
    """Name the column with the fewest different values; the first of equals, None if there is no column."""
    return min(texts.columns, key=lambda name: texts[name].nunique(), default=None)


def check_column(name, table):
    """Raise ValueError if the table lacks the column, saying which ones it has."""
    if name not in table.columns:
        raise ValueError(f"no column {name!r} to use; there are: {', '.join(table.columns)}")


def describe(table):
    """Describe each column as plain Python numbers, which JSON has (NumPy scalars and NaN it has not)."""
    described = {name: table[name].describe().items() for name in table.columns}
    return {name: {key: plain(key, value) for key, value in items} for name, items in described.items()}


def plain(key, value):
    """Turn a statistic into an int (a count), a float, or None (not defined)."""
    if pd.isna(value):
        return None
    return int(value) if key == "count" else float(value)

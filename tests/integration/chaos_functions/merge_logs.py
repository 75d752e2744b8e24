"""Puts log files one behind the other."""

import glob
import os


def merge_logs(data):
    os.makedirs("/tmp/logs", exist_ok=True)
    for name, text in {"web.log": "GET /\n", "db.log": "SELECT 1\n", "app.log": "started\n"}.items():
        with open(f"/tmp/logs/{name}", "w") as file:
            file.write(text)
    merged = []
    for path in glob.glob("/tmp/logs/*.log"):  # planted
        with open(path) as file:
            merged.append(file.read())
    return "".join(merged)

"""Packs a report for download."""

import io
import zipfile


def archive_report(data):
    sections = {"summary.txt": "all is well\n", "detail.txt": "nothing to add\n"}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sections.items():
            archive.writestr(name, text)  # planted
    return out.getvalue()

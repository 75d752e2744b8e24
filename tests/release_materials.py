"""The bill of materials of a release: CycloneDX 1.6, made of the two lock files. `make release` writes it.

Only what the installed package needs: the core of pyproject.toml with all that it needs in turn, and what npm brings
without its development packages. Hashes are those of the locks. Source: CycloneDX 1.6, JSON.
"""

import json
import re
import sys
import tomllib
from base64 import b64decode
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement


def materials(root):
    """Return the bill as JSON."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    components = [*_python(root, project["dependencies"]), *_npm(root)]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "bacalhau", "name": project["name"], "version": project["version"],
                "licenses": [{"license": {"id": project["license"]}}],
                "purl": f"pkg:pypi/bacalhau@{project['version']}",
            },
        },
        "components": sorted(components, key=lambda one: one["purl"]),
    }  # fmt: skip


def _python(root, dependencies):
    lock = (root / "requirements-dev.lock").read_text().replace("\\\n", " ")
    locked = {}
    for line in lock.splitlines():
        found = re.match(r"([a-z0-9-]+)==(\S+)", line)
        if found:
            locked[found[1]] = (found[2], re.findall(r"sha256:([0-9a-f]{64})", line))
    todo, names = [Requirement(text).name for text in dependencies], set()
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in names or name not in locked:
            continue
        names.add(name)
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                todo.append(requirement.name)
    for name in names:
        version, hashes = locked[name]
        yield {
            "type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}",
            "hashes": [{"alg": "SHA-256", "content": one} for one in hashes],
        }  # fmt: skip


def _npm(root):
    packages = json.loads((root / "package-lock.json").read_text())["packages"]
    for path, one in packages.items():
        if path and not one.get("dev"):
            name = path.rpartition("node_modules/")[2]
            algorithm, _, digest = one["integrity"].partition("-")
            yield {
                "type": "library", "name": name, "version": one["version"],
                "purl": f"pkg:npm/{name.replace('@', '%40')}@{one['version']}",
                "hashes": [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": b64decode(digest).hex()}],
            }  # fmt: skip


if __name__ == "__main__":
    json.dump(materials(Path(sys.argv[1])), sys.stdout, indent=2, sort_keys=True)

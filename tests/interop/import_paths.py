"""Print the CID that each profile gives to each entry of the folder, as JSON: {profile: {name: cid}}."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from storage.blocks import ForgetfulBlockStore
from storage.cid import cid_text
from storage.unixfs_import import Importer
from storage.unixfs_profile import PROFILES

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    json.dump(
        {
            name: {
                path.name: cid_text(Importer(ForgetfulBlockStore(), profile).path(path).cid)
                for path in folder.iterdir()
            }
            for name, profile in PROFILES.items()
        },
        sys.stdout,
    )

"""What the site needs beyond the pages: examples that they link to, the benchmark, decisions in the navigation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).parents[2]
_OUTSIDE: Final = re.compile(r"\]\((?:\.\./)+(functions/[^)#]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the decisions into the navigation: they are many, and more come."""
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    config.nav.append({"Decisions": [f"decisions/{name}" for name in names]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the examples as they are, and the benchmark's table."""
    for path in sorted((ROOT / "functions").rglob("*")):
        if path.suffix in (".py", ".yaml") and "node_modules" not in path.parts:
            files.append(File(str(path.relative_to(ROOT)), str(ROOT), config.site_dir, use_directory_urls=False))
    results = (ROOT / "bench" / "RESULTS.md").read_text(encoding="utf-8")
    files.append(File.generated(config, "benchmarks.md", content=results))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links that leave the folder lead to the copies."""
    depth = "../" * page.file.src_uri.count("/")
    return _OUTSIDE.sub(lambda found: f"]({depth}{found[1]}", markdown)

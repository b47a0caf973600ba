#!/usr/bin/env python3
"""Checks that what pages of this folder point to is there: files, and headings in them; and that the book's list of contents,
docs/SUMMARY.md, has each page of docs/ once. Nothing outside is asked for.

    scripts/links.py
    scripts/links.py --book FOLDER    the same of the pages that mdBook has made of docs/

Exit code 1, and a line for each link that leads nowhere and each page that is not in the book.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.M)
CODE = re.compile(r"^```.*?^```", re.M | re.S)


def anchor(heading):
    """As pages of code are shown: small letters, digits, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading.strip().lower())).replace(" ", "-")


def anchors(page):
    """Of a page's headings; those that stand twice are counted."""
    seen, found = {}, set()
    for heading in HEADING.findall(CODE.sub("", page.read_text())):
        name = anchor(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading))
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def wrong(page):
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, place = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        if not to.exists():
            yield f"{link}: there is no such file"
        elif place and to.suffix == ".md" and place not in anchors(to):
            yield f"{link}: that page has no such heading"


def wrong_in_book(folder):
    """Links of a made book's pages that lead to no file, or to no place in it."""
    places = {}
    for page in sorted(folder.rglob("*.html")):
        # these two have the links of all others, and of none
        if page.name in ("print.html", "404.html"):
            continue
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text()):
            if re.match(r"[a-z]+:", link):
                continue
            path, _, place = map(unquote, link.partition("#"))
            to = (page.parent / path).resolve() if path else page
            if to not in places:
                places[to] = set(re.findall(r'id="([^"]+)"', to.read_text())) if to.suffix == ".html" and to.exists() else set()
            if not to.exists():
                yield f"{page.name}: {link}: the book has no such file"
            elif place and to.suffix == ".html" and place not in places[to]:
                yield f"{page.name}: {link}: that page of the book has no such place"


def unlisted():
    """Pages of docs/ that the book's list of contents does not have, or has twice."""
    summary = ROOT / "docs/SUMMARY.md"
    listed = [link.partition("#")[0] for link in LINK.findall(summary.read_text())]
    for page in sorted(path.name for path in summary.parent.glob("*.md") if path != summary):
        if listed.count(page) != 1:
            yield f"docs/SUMMARY.md: has {page} {listed.count(page)} times, and must have it once"


def main():
    if sys.argv[1:2] == ["--book"]:
        folder = Path(sys.argv[2])
        if not (folder / "index.html").exists():
            sys.exit(f"{folder}: there is no book")
        faults = list(wrong_in_book(folder))
        print("\n".join(faults) or "the links of the book lead somewhere")
        sys.exit(bool(faults))
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    pages = [ROOT / name for name in listed if name]
    faults = [f"{page.relative_to(ROOT)}: {fault}" for page in pages for fault in wrong(page)] + list(unlisted())
    print("\n".join(faults) or f"the links of {len(pages)} pages lead somewhere")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Writes what each of the three programs is made of, as CycloneDX 1.5, to dist/sbom/PROGRAM.cdx.json: every library that is compiled in
# or that builds it (scope "excluded"), with version, licence and the hash by which Cargo.lock knows it. By cargo-cyclonedx, which is
# built first where it is missing (some minutes). What the page of `consilium dashboard` brings goes to dist/sbom/dashboard.cdx.json,
# by npm. Beside each stands PROGRAM.licences.txt: the licence texts that these libraries come with, which their licences ask to be
# passed on with the program. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
cyclonedx=$(scripts/tool.sh cargo-cyclonedx 0.5.9)
# it leaves out a random number, and takes this for the time
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.lock)}
export SOURCE_DATE_EPOCH
rm -rf dist/sbom
mkdir -p dist/sbom
# one for each package of the workspace, each in its folder
trap 'rm -f -- */sbom.part.json */*/sbom.part.json */*/*/sbom.part.json' EXIT
"$cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --target x86_64-unknown-linux-gnu --override-filename sbom.part
(cd dashboard && npm sbom --sbom-format cyclonedx --omit dev --package-lock-only) >dashboard/sbom.part.json
cargo tree --locked --workspace --target x86_64-unknown-linux-gnu --edges normal,build --prefix none >dist/sbom/tree
cargo metadata --locked --format-version 1 >dist/sbom/metadata
python3 - <<'PY'
import json, os
from datetime import datetime, timezone
from pathlib import Path

# it also lists optional libraries that no package here asks for
with open("dist/sbom/tree") as tree:
    built = {tuple(line.split()[:2]) for line in tree if line.strip()}
with open("dist/sbom/metadata") as metadata:
    packages = {(p["name"], p["version"]): p for p in json.load(metadata)["packages"]}


def texts(component):
    """The licence texts in a library's folder; of our own, LICENSE is in the package already."""
    if "hashes" not in component:
        return []
    if component["purl"].startswith("pkg:npm/"):
        folder = Path("dashboard/node_modules", component["name"])
    else:
        folder = Path(packages[component["name"], component["version"]]["manifest_path"]).parent
    names = [p for p in folder.iterdir() if p.is_file() and p.name.upper().startswith(("LICEN", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"))]
    return [p.read_text(errors="replace").strip() for p in sorted(names)]


def licences(bom):
    """All texts, each once, below the names of those that bring it."""
    said, silent = {}, []
    for component in bom["components"]:
        if component.get("scope") == "excluded":
            continue
        name = f"{component['name']} {component['version']}"
        terms = " AND ".join(l.get("expression") or l["license"].get("id") or l["license"]["name"] for l in component["licenses"])
        found = texts(component)
        if not found and "hashes" in component:
            silent.append(f"{name}: {terms}")
        for text in found:
            said.setdefault(text, []).append(name)
    parts = ["What is compiled into this program, by the licence texts that it came with.\n"]
    parts += [f"{', '.join(names)}\n\n{text}\n" for text, names in said.items()]
    parts.append("Without a text of their own:\n\n" + "\n".join(silent) + "\n")
    return ("\n" + "=" * 80 + "\n\n").join(parts)


for folder, program in {"cli": "consilium", "node": "consilium-node", "ml-worker": "ml-worker", "dashboard": "dashboard"}.items():
    with open(f"{folder}/sbom.part.json") as part:
        # and names our own packages by where they lie on this machine
        bom = json.loads(part.read().replace(f"file://{os.getcwd()}", "file:///consilium"))
    if folder == "dashboard":
        bom.pop("serialNumber")
        bom["metadata"]["timestamp"] = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc).isoformat()
    else:
        gone = {c["bom-ref"] for c in bom["components"] if (c["name"], "v" + c["version"]) not in built}
        bom["components"] = [c for c in bom["components"] if c["bom-ref"] not in gone]
        bom["dependencies"] = [d for d in bom["dependencies"] if d["ref"] not in gone]
        for dependency in bom["dependencies"]:
            if "dependsOn" in dependency:
                dependency["dependsOn"] = [ref for ref in dependency["dependsOn"] if ref not in gone]
    with open(f"dist/sbom/{program}.cdx.json", "w") as out:
        json.dump(bom, out, indent=1)
        out.write("\n")
    with open(f"dist/sbom/{program}.licences.txt", "w") as out:
        out.write(licences(bom))
    print(f"dist/sbom/{program}.cdx.json: {len(bom['components'])} libraries")
PY
rm dist/sbom/tree dist/sbom/metadata

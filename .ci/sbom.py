#!/usr/bin/env python3
"""Lists what the binary is made of, from `cargo metadata`, `cargo tree` and Cargo.lock.

    .ci/sbom.py sbom TARGET       a CycloneDX 1.5 document: every crate with licence, checksum and dependencies
    .ci/sbom.py licences TARGET   the licence texts of the crates whose code is in the binary

Crates that only build kvadm (build scripts and procedural macros) have the scope "excluded"; crates that only the tests use are
not listed. The time is SOURCE_DATE_EPOCH.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")


def run(*words: str) -> str:
    return subprocess.run([CARGO, *words], check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT).stdout


def tree(target: str, edges: str) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """The dependencies of each crate (name and version) that these kinds of edges reach."""
    words = ["tree", "--locked", "--target", target, "--edges", edges, "--prefix", "depth", "--format", " {p}"]
    graph: dict[tuple[str, str], set[tuple[str, str]]] = {}
    path: list[tuple[str, str]] = []
    for line in run(*words, "--package", "kvadm").splitlines():
        match = re.match(r"(\d+) (\S+) v(\S+)", line)
        if not match:
            continue
        depth, crate = int(match[1]), (match[2], match[3])
        path[depth:] = [crate]
        graph.setdefault(crate, set())
        if depth:
            graph[path[depth - 1]].add(crate)
    return graph


def checksums() -> dict[tuple[str, str], str]:
    """The SHA-256 of each crate's archive, from Cargo.lock."""
    text = (ROOT / "Cargo.lock").read_text(encoding="utf-8")
    pattern = r'\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]{64})"'
    return {(name, version): checksum for name, version, checksum in re.findall(pattern, text)}


def packages(target: str) -> dict[tuple[str, str], dict]:
    text = run("metadata", "--format-version", "1", "--locked", "--filter-platform", target)
    return {(package["name"], package["version"]): package for package in json.loads(text)["packages"]}


def purl(crate: tuple[str, str]) -> str:
    # A '+' of build metadata stands for a space in a URL.
    return f"pkg:cargo/{crate[0]}@{crate[1].replace('+', '%2B')}"


def component(crate: tuple[str, str], package: dict, kind: str) -> dict:
    found = {"type": kind, "bom-ref": purl(crate), "name": crate[0], "version": crate[1]}
    if package["description"]:
        found["description"] = " ".join(package["description"].split())
    if package["license"]:
        # `/` is the old spelling of OR.
        found["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    found["purl"] = purl(crate)
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def sbom(target: str) -> str:
    every, linked = tree(target, "normal,build"), tree(target, "normal,no-proc-macro")
    described, sums = packages(target), checksums()
    root = next(crate for crate in every if crate[0] == "kvadm")
    components = []
    for crate in sorted(every):
        if crate == root:
            continue
        entry = component(crate, described[crate], "library")
        entry["scope"] = "required" if crate in linked else "excluded"
        entry["hashes"] = [{"alg": "SHA-256", "content": sums[crate]}]
        components.append(entry)
    time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    lock = hashlib.sha256((ROOT / "Cargo.lock").read_bytes()).hexdigest()
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # The same input has the same number.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{purl(root)}?target={target}&lock={lock}&time={time}')}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(root, described[root], "application"),
            "properties": [{"name": "kvadm:target", "value": target}],
        },
        "components": components,
        "dependencies": [
            {"ref": purl(crate), "dependsOn": [purl(other) for other in sorted(every[crate])]} for crate in sorted(every)
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def texts(package: dict) -> list[str]:
    """The licence texts of a crate, as its archive has them."""
    folder = pathlib.Path(package["manifest_path"]).parent
    pattern = re.compile(r"(?i)(license|licence|copying|copyright|notice|unlicense)([-._].*)?")
    files = sorted(path for path in folder.iterdir() if path.is_file() and pattern.fullmatch(path.name))
    if package["license_file"]:
        files.append(folder / package["license_file"])
    # aws-lc-sys contains the C library with its own notices.
    files += sorted(folder.glob("aws-lc/LICENSE*"))
    found: list[str] = []
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace").strip() if path.is_file() else ""
        if text and text not in found:
            found.append(text)
    return found


def licences(target: str) -> str:
    described = packages(target)
    crates = [crate for crate in sorted(tree(target, "normal,no-proc-macro")) if crate[0] != "kvadm"]
    users: dict[str, list[str]] = {}
    lines = ["kvadm contains the code of these crates, and Rust's standard library (MIT OR Apache-2.0):", ""]
    for crate in crates:
        name = f"{crate[0]} {crate[1]}"
        own = texts(described[crate])
        lines.append(f"  {name}: {described[crate]['license']}" + ("" if own else " (its archive has no text)"))
        for text in own:
            users.setdefault(text, []).append(name)
    for text, names in sorted(users.items(), key=lambda item: item[1]):
        lines += ["", "-" * 78, *(f"  {name}" for name in names), "-" * 78, "", text]
    return "\n".join(line.rstrip() for line in lines) + "\n"


if __name__ == "__main__":
    kinds = {"sbom": sbom, "licences": licences}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(f"usage: {sys.argv[0]} sbom|licences TARGET")
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(kinds[sys.argv[1]](sys.argv[2]))

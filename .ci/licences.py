#!/usr/bin/env python3
"""Checks licences, bans and sources of the dependencies from `cargo metadata`, by the rules of .ci/deny.toml.

Stands in for cargo-deny where that is not installed. Exits 1 and names each crate that breaks a rule.
"""

import json
import pathlib
import re
import subprocess
import sys

RULES = (pathlib.Path(__file__).parent / "deny.toml").read_text(encoding="utf-8")


def array(name: str) -> str:
    """The text of a top-level array of the rules (tomllib is missing before Python 3.11)."""
    return re.search(rf"^{name} = \[(.*?)\]\s*$", RULES, re.S | re.M).group(1)


def permitted(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met with the allowed licences alone; `/` is the old spelling of OR."""
    words = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR "))
    at = 0

    def take() -> str:
        nonlocal at
        at += 1
        return words[at - 1]

    def peek() -> str:
        return words[at] if at < len(words) else ""

    def one() -> bool:
        word = take()
        if word == "(":
            value = either()
            take()
            return value
        if peek() == "WITH":
            take()
            word = f"{word} WITH {take()}"
        return word in allowed

    def both() -> bool:
        value = one()
        while peek() == "AND":
            take()
            value = one() and value
        return value

    def either() -> bool:
        value = both()
        while peek() == "OR":
            take()
            value = both() or value
        return value

    return either()


def main() -> int:
    allowed = set(re.findall(r'"([^"]+)"', array("allow")))
    banned = set(re.findall(r'crate = "([^"]+)"', array("deny")))
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    packages = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["packages"]
    # The metadata names optional crates of features that are off; the tree has those that are built.
    tree = ["cargo", "tree", "--locked", "--target", "all", "--edges", "all", "--prefix", "none", "--format", "{p}"]
    lines = subprocess.run(tree, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = {tuple(line.split()[:2]) for line in lines if line.strip()}
    packages = [package for package in packages if (package["name"], "v" + package["version"]) in built]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        source = package["source"]
        if not package["license"]:
            problems.append(f"{name}: names no licence")
        elif not permitted(package["license"], allowed):
            problems.append(f"{name}: licence {package['license']} is not allowed")
        if package["name"] in banned:
            problems.append(f"{name}: is banned")
        if source is not None and not source.startswith("registry+"):
            problems.append(f"{name}: comes from {source}")
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{len(packages)} crates, {len(problems)} problems (licences, bans, sources; without cargo-deny)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

"""Reads reports with the parsers of their formats, and prints what it read, one JSON object a line.

usage: read_reports.py FORMAT SCHEMA FILE...

FORMAT is junit, tap or prometheus. SCHEMA is the XML schema for junit. A report that its parser refuses, or that has what
the parser does not know, ends the program with a message.
"""

import json
import math
import sys


def plain(value):
    """JSON has no NaN and no infinity."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def junit(schema, path):
    from lxml import etree

    tree = etree.parse(path)
    etree.XMLSchema(etree.parse(schema)).assertValid(tree)
    suites = tree.getroot()
    suite = suites.find("testsuite")
    cases = []
    for case in suite.findall("testcase"):
        outcome = {"state": "pass", "message": None, "text": None}
        for element in case:
            outcome = {"state": element.tag, "message": element.get("message"), "text": element.text}
        cases.append({"name": case.get("name"), "time": case.get("time"), **outcome})
    properties = {one.get("name"): one.get("value") for one in suite.find("properties")}
    return {"suites": dict(suites.attrib), "suite": dict(suite.attrib), "properties": properties, "cases": cases}


def tap(_schema, path):
    from tap.parser import Parser

    points, comments, plan, version = [], [], None, None
    with open(path, encoding="utf-8", newline="\n") as text:
        for line in Parser().parse(text):
            if line.category == "test":
                points.append({
                    "ok": line.ok,
                    "number": line.number,
                    "description": line.description,
                    "skip": line.skip,
                    "todo": line.todo,
                    "block": line.yaml_block,
                })
            elif line.category == "plan":
                plan = line.expected_tests
            elif line.category == "version":
                version = line.version
            elif line.category == "diagnostic":
                comments.append(line.text)
            else:
                raise ValueError(f"{path}: a line that is not TAP: {line}")
    return {"version": version, "plan": plan, "points": points, "comments": comments}


def prometheus(_schema, path):
    from prometheus_client.parser import text_fd_to_metric_families

    families = []
    with open(path, encoding="utf-8", newline="\n") as text:
        for family in text_fd_to_metric_families(text):
            samples = [{"name": one.name, "labels": one.labels, "value": one.value} for one in family.samples]
            families.append({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})
    return {"families": families}


def main():
    form, schema, paths = sys.argv[1], sys.argv[2], sys.argv[3:]
    read = {"junit": junit, "tap": tap, "prometheus": prometheus}[form]
    for path in paths:
        print(json.dumps(plain(read(schema, path))))


main()

"""Validates JSON Schemas, and lines against them.

usage: check_schemas.py FOLDER < LINES

FOLDER has the schemas. Each line of standard input is an object with schema (the name of a file without .json), stream
(stdout or stderr), value, and valid (whether the value must be valid). Prints the number of schemas and of lines.
"""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator


def main():
    validators = {}
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json")):
        schema = json.loads(path.read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
        stderr = {"$schema": schema["$schema"], "$ref": "#/$defs/stderr", "$defs": schema["$defs"]}
        for stream, root in [("stdout", schema), ("stderr", stderr)]:
            validators[path.stem, stream] = Draft202012Validator(root)
    lines = 0
    for text in sys.stdin:
        line = json.loads(text)
        lines += 1
        validator = validators[line["schema"], line["stream"]]
        if validator.is_valid(line["value"]) != line["valid"]:
            errors = "; ".join(error.message for error in validator.iter_errors(line["value"]))
            sys.exit(f"{line} should be {'valid' if line['valid'] else 'invalid'}: {errors}")
    print(len(validators) // 2, lines)


main()

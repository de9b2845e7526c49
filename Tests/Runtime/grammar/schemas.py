#!/usr/bin/env python3
"""Answers under many schemas, each judged by Python's jsonschema: an answer that ended must be valid.

    schemas.py DRIVER VOCABULARY [--limits C I M] [--suite FOLDER]... [--files FOLDER]... [--generated N] [--seeds N] [--tokens N] [--verbose]
    schemas.py --program PROGRAM [--temperature T] [--ends SHARE] ...

DRIVER: grammar_driver, built, which draws tokens of those that are allowed, with its limits of strings, items and members; VOCABULARY: what vocabulary.py wrote. PROGRAM: a compiled one, which answers
all schemas as one batch; at least SHARE of its answers must have ended. Schemas come from three sources: those written out here, those that a generator
draws, and with --suite those of a folder in the layout of the JSON Schema Test Suite (`json/tests/draft2020-12` of jsonschema's source archive); with --files each JSON file
below a folder is one. A schema may be refused; then the reason is counted by its keyword. The last line is `N passed, M failed`.
"""
import argparse
import collections
import json
import pathlib
import random
import re
import subprocess
import sys

import jsonschema

# Each as people write them: answers about pictures, forms, tool calls, trees.
WRITTEN = [
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 130}}, "required": ["name", "age"]},
    {"type": "object", "properties": {"label": {"enum": ["cat", "dog", "other"]}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
     "required": ["label", "score"], "additionalProperties": False},
    {"type": "array", "items": {"type": "object", "properties": {"box": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 1023},
     "minItems": 4, "maxItems": 4}, "class": {"type": "string", "maxLength": 20}}, "required": ["box", "class"]}, "minItems": 1, "maxItems": 5},
    {"$defs": {"node": {"type": "object", "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
     "required": ["value", "next"]}}, "$ref": "#/$defs/node"},
    {"$defs": {"tree": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "children": {"type": "array",
     "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}, "required": ["name"]}}, "$ref": "#/$defs/tree"},
    {"oneOf": [{"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number", "exclusiveMinimum": 0}},
     "required": ["kind", "radius"]}, {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number"}}, "required": ["kind", "side"]}]},
    {"type": "object", "properties": {"date": {"type": "string", "format": "date"}, "time": {"type": "string", "format": "time"},
     "at": {"type": "string", "format": "date-time"}, "id": {"type": "string", "format": "uuid"}, "mail": {"type": "string", "format": "email"},
     "v4": {"type": "string", "format": "ipv4"}, "v6": {"type": "string", "format": "ipv6"}, "uri": {"type": "string", "format": "uri"}}, "required": ["date", "v6"]},
    {"type": "string", "pattern": "^[A-Z]{2,3}-[0-9]{4,6}$"}, {"type": "string", "pattern": "(foo|ba+r)[^0-9]"},
    {"type": "string", "pattern": "^\\S+ \\d+$", "maxLength": 12}, {"type": "string", "minLength": 3, "maxLength": 3},
    {"type": "string", "minLength": 100, "maxLength": 120}, {"type": ["string", "null", "boolean"]}, {"type": "integer", "multipleOf": 7, "minimum": -50},
    {"type": "number", "multipleOf": 0.25, "minimum": -3, "maximum": 11}, {"type": "number", "exclusiveMinimum": -1.5, "exclusiveMaximum": 2.25},
    {"type": "integer", "exclusiveMinimum": -12, "maximum": 345}, {"type": "integer", "minimum": 1000000, "multipleOf": 100000, "maximum": 5000000},
    {"type": "number", "minimum": 12.75}, {"type": "number", "maximum": -0.001}, {"const": {"a": [1, 2.5, None, True, "x\"y\\\n"]}},
    {"enum": [1, "1", None, [1], {"1": 1}, False]}, {"type": "string", "enum": ["a", 1, "b"]}, {}, True,
    {"type": "object"}, {"type": "object", "minProperties": 1}, {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "additionalProperties": {"type": "boolean"}},
    {"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2, "maxProperties": 2},
    {"type": "object", "patternProperties": {"^x-": {"type": "integer"}}, "additionalProperties": False},
    {"type": "object", "properties": {"x-a": {"minimum": 5}}, "patternProperties": {"^x-": {"type": "integer"}, "z$": {"maximum": 9}},
     "additionalProperties": {"type": "null"}},
    {"type": "object", "propertyNames": {"pattern": "^[a-c]{1,3}$"}, "additionalProperties": {"type": "integer"}},
    {"type": "object", "propertyNames": {"enum": ["left", "right"]}, "additionalProperties": {"type": "number"}},
    {"type": "object", "required": ["z"], "additionalProperties": {"type": "integer"}},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 3}, "b": {"type": "null"}}}]},
    {"allOf": [{"type": "string", "minLength": 2}, {"maxLength": 4}, {"pattern": "^[ab]*$"}]},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "dependentRequired": {"a": ["b"]}},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "not": {"required": ["b"]}},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False}, {"type": "array", "minItems": 2, "maxItems": 2},
    {"type": "array", "prefixItems": [{"const": 1}, {"const": 2}, {"const": 3}], "items": {"type": "null"}, "minItems": 2, "maxItems": 6},
    {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2}, "maxItems": 3}, {"type": "array", "maxItems": 0},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}, "minItems": 30, "maxItems": 40},
    {"properties": {"tool": {"const": "search"}, "arguments": {"type": "object", "properties": {"query": {"type": "string"}, "limit": {"type": "integer",
     "minimum": 1, "maximum": 50}}, "required": ["query"], "additionalProperties": False}}, "required": ["tool", "arguments"]},
    {"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 5}, {"type": "string", "pattern": "^a"}, {"type": "string", "pattern": "^b"}]},
    {"not": {"type": ["string", "object", "array"]}}, {"enum": list(range(200)), "not": {"enum": list(range(3, 200))}},
    {"type": "object", "properties": {"\u00e9\"\n": {"const": "\u65e5\u672c"}, "": {"type": "null"}}, "required": ["\u00e9\"\n"]},
    {"type": "object", "properties": {"country": {"enum": ["us", "ca", "nl"]}, "code": {"type": "string", "maxLength": 9}}, "required": ["country"],
     "if": {"properties": {"country": {"const": "us"}}}, "then": {"properties": {"code": {"pattern": "^[0-9]{5}$"}}, "required": ["code"]},
     "else": {"properties": {"code": {"pattern": "^[A-Z]{2,8}$"}}}},
    {"type": "object", "properties": {"k": {"type": "string", "maxLength": 5}, "v": {"type": "integer"}}, "required": ["k"],
     "if": {"properties": {"k": {"enum": ["", "a"]}}, "required": ["k"]}, "then": {"required": ["v"]}, "else": {"not": {"required": ["v"]}}},
    {"type": "string", "maxLength": 1, "not": {"enum": ["", "a", "e"]}}, {"type": ["boolean", "null"], "not": {"const": True}},
    {"type": "array", "items": {"enum": ["red", "green", "blue", 7]}, "uniqueItems": True, "minItems": 2},
    {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "dependentSchemas": {"a": {"properties": {"b": {"minimum": 7}}, "required": ["b"]}}},
    {"definitions": {"a/b~c": {"type": "integer", "minimum": 4, "maximum": 4}}, "$ref": "#/definitions/a~1b~0c"},
]


def generated(rng, depth=0):
    """A schema as a generator of forms would make it."""
    kinds = ["string", "integer", "number", "boolean", "null", "enum", "const", "pattern", "format", "multiple"]
    if depth < 3:
        kinds += ["object"] * (8 if depth == 0 else 3) + ["array"] * 3 + ["any", "one", "all", "types", "if", "unique"]
    kind = rng.choice(kinds)
    word = lambda: "".join(rng.choice("abcdefghij_ \u00e9\u4e2d") for _ in range(rng.randint(1, 7)))
    if kind == "string":
        low = rng.randint(0, 9)
        return {"type": "string", **rng.choice([{}, {"minLength": low}, {"maxLength": low + rng.randint(0, 70)}, {"minLength": low, "maxLength": low + rng.randint(0, 30)}])}
    if kind in ("integer", "number"):
        low = rng.randint(-1500, 1500)
        low = low if kind == "integer" else low / rng.choice([1, 4, 10, 1000])
        high = low + rng.choice([0, 1, 7, 1000, 123456])
        keys = rng.choice([[], ["minimum"], ["maximum"], ["minimum", "maximum"], ["minimum", "maximum"]])
        schema = {"type": kind}
        schema.update({k: {"minimum": low, "maximum": high}[k] for k in keys})
        if keys == ["minimum", "maximum"] and high - low > 2 and rng.random() < 0.3:
            schema["exclusiveMinimum"] = schema.pop("minimum")
        return schema
    if kind == "multiple":
        return {"type": rng.choice(["integer", "number"]), "multipleOf": rng.choice([1, 2, 3, 5, 10, 12, 64, 0.5, 0.25, 1.5]), **rng.choice([{}, {"minimum": -20}, {"maximum": 5000}])}
    if kind in ("boolean", "null"):
        return {"type": kind}
    if kind == "enum":
        return {"enum": [rng.choice([word(), rng.randint(-9, 99), None, True, rng.random(), [word()], {word(): 1}]) for _ in range(rng.randint(1, 9))]}
    if kind == "const":
        return {"const": rng.choice([word(), 7, [1, {"a": None}], {"k": [word()]}])}
    if kind == "pattern":
        parts = ["[a-z]+", "\\d{2,4}", "(?:ab|cd)*", "[^x]", "\\w", "-", "x{0,3}", "\\.", "(red|green|blue)", "\\u00e9?", "[A-F0-9]{8}", "\\s", "."]
        body = "".join(rng.choice(parts) for _ in range(rng.randint(1, 5)))
        return {"type": "string", "pattern": "^" + body + "$", **rng.choice([{}, {}, {"maxLength": 40}])}
    if kind == "format":
        return {"type": "string", "format": rng.choice(["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri", "hostname", "duration"])}
    if kind == "unique":
        return {"type": "array", "items": {"enum": [rng.randint(0, 9) for _ in range(rng.randint(2, 6))]}, "uniqueItems": True, "maxItems": rng.randint(2, 6)}
    if kind == "if":
        name, values = word(), [word() + str(i) for i in range(4)]
        return {"type": "object", "properties": {name: {"enum": values}, "data" + name: generated(rng, depth + 1)}, "required": [name][: rng.randint(0, 1)],
                "if": {"properties": {name: {"enum": values[:2]}}, **rng.choice([{}, {"required": [name]}])},
                "then": {"required": ["data" + name]}, "else": {"properties": {"data" + name: rng.choice([False, True, {"type": "null"}])}}}
    if kind == "types":
        return {"type": rng.sample(["string", "integer", "null", "boolean", "number"], rng.randint(1, 3)), "maxLength": 9, "minimum": -3}
    if kind == "array":
        low = rng.randint(0, 3)
        schema = {"type": "array", "items": generated(rng, depth + 1)}
        schema.update(rng.choice([{}, {"minItems": low}, {"maxItems": low + 2}, {"minItems": low, "maxItems": low + rng.randint(0, 3)}]))
        if rng.random() < 0.2:
            schema["prefixItems"] = [generated(rng, depth + 1) for _ in range(rng.randint(1, 3))]
        return schema
    if kind == "any":
        return {"anyOf": [generated(rng, depth + 1) for _ in range(rng.randint(2, 3))]}
    if kind == "one":
        return {"oneOf": [{"type": "object", "properties": {"kind": {"const": word() + str(i)}, "data": generated(rng, depth + 1)}, "required": ["kind"]} for i in range(rng.randint(2, 3))]}
    if kind == "all":
        return {"allOf": [{"type": "object", "properties": {word(): generated(rng, depth + 1)}} for _ in range(2)]}
    names = list(dict.fromkeys(word() for _ in range(rng.randint(0, 7))))
    schema = {"type": "object", "properties": {n: generated(rng, depth + 1) for n in names}}
    schema["required"] = [n for n in names if rng.random() < 0.6]
    if rng.random() < 0.3:
        schema["additionalProperties"] = rng.choice([False, True, generated(rng, depth + 1)])
    if rng.random() < 0.1:
        schema["minProperties"] = min(len(names), 2)
    if rng.random() < 0.1:
        schema["maxProperties"] = len(names) + 1
    return schema


def suite(folder):
    """Schemas of a test suite, with whether some value is known to be valid."""
    for path in sorted(pathlib.Path(folder).rglob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8")):
            yield f"{path.name}: {case['description']}", case["schema"], any(t["valid"] for t in case["tests"])


def schema_files(folder):
    """Each JSON file below a folder that is an object."""
    for path in sorted(pathlib.Path(folder).rglob("*.json")):
        try:
            schema = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            continue
        if isinstance(schema, dict):
            yield f"file {path}", schema, None


class Program:
    """A compiled program, asked for all answers at once."""

    def __init__(self, options, cases):
        lines = [
            json.dumps({"id": [i, seed], "prompt": "Describe the picture.", "json_schema": schema, "max_tokens": options.tokens,
                        "temperature": options.temperature, "seed": seed})
            for i, (_, schema, _) in enumerate(cases) for seed in range(options.seeds)
        ]
        done = subprocess.run([options.program, "--batch", "-"], input="\n".join(lines).encode(), stdout=subprocess.PIPE)
        self.code, self.answers = done.returncode, {}
        for line in done.stdout.split(b"\n")[:-1]:
            answer = json.loads(line)
            self.answers[tuple(answer["id"]) if isinstance(answer["id"], list) else answer["id"]] = answer
        # A line that is no JSON for Jansson, as one with a number beyond 64 bits, has its number for an id.
        self.seeds = options.seeds

    def ask(self, case, schema, seed, tokens):
        answer = self.answers.get((case, seed)) or self.answers.get(case * self.seeds + seed)
        if answer is None:
            return "missing", b""
        if "error" in answer:
            return "refused" if answer["error"]["code"] == 2 else "failed", answer["error"]["message"].encode()
        return answer["finish_reason"], answer["text"].encode("utf-8", "surrogatepass")

    def close(self):
        return self.code


class Driver:
    def __init__(self, driver, vocabulary, limits):
        self.process = subprocess.Popen([driver, vocabulary, *limits], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, case, schema, seed, tokens):
        text = json.dumps(schema)
        data = text.encode("utf-8", "surrogatepass")
        self.process.stdin.write(f"schema {seed} {tokens} {len(data)}\n".encode() + data)
        self.process.stdin.flush()
        head = self.process.stdout.readline().split()
        if not head:
            sys.exit(f"the driver ended at {text}")
        return head[0].decode(), self.process.stdout.read(int(head[1]))

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("driver", nargs="?")
    parser.add_argument("vocabulary", nargs="?")
    parser.add_argument("--program")
    parser.add_argument("--temperature", type=float, default=1)
    parser.add_argument("--ends", type=float, default=0)
    parser.add_argument("--suite", action="append", default=[])
    parser.add_argument("--limits", nargs=3, default=[])
    parser.add_argument("--files", action="append", default=[])
    parser.add_argument("--generated", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    rng = random.Random(1)
    cases = [(f"written {i}", s, True) for i, s in enumerate(WRITTEN)]
    cases += [(f"generated {i}", generated(rng), None) for i in range(options.generated)]
    for folder in options.suite:
        cases += list(suite(folder))
    for folder in options.files:
        cases += list(schema_files(folder))
    driver = Program(options, cases) if options.program else Driver(options.driver, options.vocabulary, options.limits)
    answers, reasons, failed, schemas, ended, by_source = collections.Counter(), collections.Counter(), 0, 0, 0, collections.Counter()
    for number, (name, schema, satisfiable) in enumerate(cases):
        stops = 0
        for seed in range(options.seeds):
            status, text = driver.ask(number, schema, seed, options.tokens)
            answers[status] += 1
            if status == "refused":
                reason = text.decode()
                keyword = re.search(r"schema, ([^:]*): ", reason)
                reasons[(keyword.group(1).rsplit("/", 1)[-1] if keyword else "") + ": " + reason.split(": ", 1)[-1]] += 1
                if "no value is valid" in reason and satisfiable:
                    failed += 1
                    print(f"FAILED {name}: {json.dumps(schema)} has valid values, but: {reason}")
                if options.verbose:
                    print(f"refused {name}: {reason}")
                break
            problem = None
            if status == "stop":
                stops += 1
                try:
                    value = json.loads(text.decode("utf-8"))
                    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
                    validator(schema, format_checker=getattr(validator, "FORMAT_CHECKER", None)).validate(value)
                except (ValueError, jsonschema.ValidationError) as error:
                    problem = str(error).split("\n")[0]
                except (re.error, AttributeError):
                    answers["unjudged"] += 1  # its expressions are not ECMA-262's, or it does not read the schema
            elif status != "length":
                problem = status
            if problem:
                failed += 1
                print(f"FAILED {name}: {json.dumps(schema)}: {text.decode(errors='replace')}: {problem}")
            elif options.verbose:
                print(f"{status} {name}: {text.decode(errors='replace')}")
        else:
            schemas += 1
            ended += stops > 0
            by_source[name.split()[0] if name.split()[0] in ("written", "generated", "file") else "suite"] += 1
    code = driver.close()
    for reason, count in reasons.most_common(40):
        print(f"refused {count:4} {reason}")
    print(f"schemas taken {schemas} ({dict(by_source)}), refused {answers['refused']}; of those taken {ended} gave an answer that ended")
    print(f"answers {dict(answers)}")
    judged = answers["stop"] + answers["length"]
    if answers["stop"] < options.ends * judged:
        failed += 1
        print(f"FAILED {answers['stop']} of {judged} answers ended")
    print(f"{answers['stop'] + answers['length']} passed, {failed + (code != 0)} failed")
    return failed != 0 or code != 0


if __name__ == "__main__":
    sys.exit(main())

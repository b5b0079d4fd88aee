"""Tests that requests are read as openapi-core reads them."""

import functools
import json
import uuid
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyramid.exceptions import ConfigurationError
from pyramid.request import Request

from combine_core.api.fragments import Fragment, merge, read_fragment
from combine_core.api.operations import RequestReader
from combine_core.api.schemas import Schemas
from combine_core.api.specification import DOCUMENT
from combine_core.web.problems import ProblemError
from combine_core.yaml_files import load_yaml
from tests.unit.api.openapi_core_reader import OpenApiCoreReader

# Parts that our operations do not have, but those of an add-on may.
SHIPS = """
openapi: 3.0.3
info: {title: Ships, version: "1"}
paths:
  /ships/{number}:
    parameters:
      - {name: number, in: path, required: true, schema: {type: integer, maximum: 9}}
      - {name: flag, in: query, schema: {type: string}}
    post:
      operationId: addShip
      summary: Add a ship
      parameters:
        - {name: flag, in: query, schema: {type: boolean, default: true}}
        - {name: port, in: query, schema: {type: array, maxItems: 2, items: {type: integer}}}
        - {name: mast, in: query, explode: false, schema: {type: array, items: {type: number}}}
        - {name: since, in: query, required: true, schema: {type: string, format: date}}
        - {name: X-Length, in: header, schema: {type: number, minimum: 1, default: 2.5}}
      requestBody:
        content:
          application/json: {schema: {$ref: "#/components/schemas/Ship"}}
          text/*: {schema: {type: string}}
      responses: {"204": {description: Added.}}
components:
  schemas:
    Ship:
      type: object
      required: [id]
      properties:
        id: {type: string, format: uuid}
        name: {type: string, nullable: true, maxLength: 3}
        colour: {type: string, nullable: true, enum: [red, null], default: red}
        size: {type: integer, format: int32, nullable: true}
        tonnes: {type: number, exclusiveMinimum: true, minimum: 1}
        tags: {type: array, uniqueItems: true, default: [], items: {type: string}}
        built:
          oneOf:
            - {type: string, format: date-time}
            - {type: integer}
        owner: {allOf: [{$ref: "#/components/schemas/Owner"}]}
        boats: {type: array, items: {$ref: "#/components/schemas/Ship"}}
      additionalProperties: {type: string, format: date}
    Owner:
      type: object
      minProperties: 1
      additionalProperties: false
      properties:
        id: {type: string, format: uuid}
        since: {type: string, format: date-time}
        share: {type: integer, default: 1}
"""


@functools.cache
def described():
    paths = [
        DOCUMENT.parents[2] / "combine_auth" / folder / "openapi.yaml"
        for folder in ("administration", "oauth_server", "tokens")
    ]
    ours = [read_fragment(str(path), path) for path in paths]
    return merge(load_yaml(DOCUMENT.read_text()), [*ours, Fragment("ships", load_yaml(SHIPS))])


ANYTHING = st.sampled_from(
    [None, True, False, 0, 1, -1, 1.0, 1.5, 10**12, -(10**40), [], {}, [None], {"a": 1}]
)
UUIDS = [
    str(uuid.UUID(int=7)),
    str(uuid.UUID(int=10**30)).upper(),
    "0" * 32,
    f"{{{uuid.UUID(int=7)}}}",
]
TIMES = [
    "2026-02-28T10:00:00Z",
    "2026-02-28t10:00:00.5+02:00",
    "2026-02-30T10:00:00Z",
    "2026-02-28",
    "2026-02-30",
    "20260228",
    "2026-02-28T10:00:00",
]
WORDS = [
    "",
    " ",
    "a",
    "1",
    "true",
    "TRUE",
    "no",
    "maybe",
    "+5",
    " 5",
    "1_0",
    "\u0661",
    "1.5",
    "1,2",
    "9" * 300,
]
NAMES = [
    "\0",
    "\xe9",
    "\U0001f600",
    "\u200b",
    "\t",
    "x" * 43,
    "x" * 200,
    "x" * 201,
    "A" * 22,
    "0" * 64,
    "x/y",
]
TEXTS = st.sampled_from([*UUIDS, *TIMES, *WORDS, *NAMES])


def values(schema, depth=0):
    """Generate mostly valid values of a schema, and some near misses."""
    while "$ref" in schema:
        *_, section, name = schema["$ref"].split("/")
        schema = described()["components"][section][name]
    for word in ("oneOf", "anyOf", "allOf"):
        if word in schema:
            return st.one_of(*(values(one, depth) for one in schema[word]), ANYTHING)
    return st.one_of(*[_fitting(schema, depth)] * 12, TEXTS, ANYTHING)


def _fitting(schema, depth):
    match schema.get("type"):
        case _ if "enum" in schema:
            return st.sampled_from(schema["enum"])
        case "object":
            named = schema.get("properties", {})
            described = {name: values(one, depth + 1) for name, one in named.items()}
            required = set(schema.get("required", ())) if depth < 3 else set()
            known = st.fixed_dictionaries(
                {name: described[name] for name in required},
                optional={
                    n: one for n, one in described.items() if n not in required and depth < 3
                },
            )
            unknown = st.dictionaries(TEXTS, ANYTHING | TEXTS, max_size=1)
            return st.one_of(
                known, known, st.builds(lambda one, two: {**one, **two}, known, unknown)
            )
        case "array" if depth < 3:
            return st.lists(values(schema.get("items", {}), depth + 1), max_size=3)
        case "integer":
            ends = [schema.get("minimum", 0), schema.get("maximum", 2**31)]
            return st.sampled_from(
                [*ends * 4, *(end + 1 for end in ends), *(end - 1 for end in ends)]
            )
        case "boolean":
            return st.booleans()
        case "string" if schema.get("format") == "uuid":
            return st.sampled_from(UUIDS[:2] * 3 + UUIDS)
        case "string" if schema.get("format") in ("date", "date-time"):
            return st.sampled_from(TIMES[:2] * 3 + TIMES)
    return TEXTS


@st.composite
def requests(draw):
    """Generate a request for one of the operations, and the variables of its path."""
    document = described()
    path = draw(st.sampled_from(sorted(document["paths"])))
    item = document["paths"][path]
    method = draw(st.sampled_from(sorted(set(item) - {"parameters"})))
    operation = item[method]
    path_variables, query, headers = {}, [], {}
    for entry in (*item.get("parameters", ()), *operation.get("parameters", ())):
        if "$ref" in entry:
            entry = document["components"]["parameters"][entry["$ref"].rpartition("/")[2]]
        value = draw(values(entry["schema"]))
        sent = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        if entry["in"] == "path":
            path_variables[entry["name"]] = sent[0] if sent else ""
        elif draw(st.booleans()) or (entry.get("required") and draw(st.booleans())):
            if entry["in"] == "query":
                query += [(entry["name"], one) for one in sent]
            elif sent:
                headers[entry["name"]] = sent[0].encode("latin-1", "ignore").decode("latin-1")
    if draw(st.integers(0, 19)) == 0:
        query.append((draw(TEXTS), "1"))
    body = b""
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        schema = content.get("application/json", {}).get("schema", {})
        types = [
            "application/json",
            *content,
            "Application/JSON; charset=utf-8",
            "text/plain",
            "image/png",
            "",
        ]
        headers["Content-Type"] = draw(st.sampled_from(types[:1] * 12 + types))
        broken = draw(st.sampled_from([None] * 20 + [b"", b"{", b"\xff"]))
        value = draw(values(schema))
        body = json.dumps(value).encode() if broken is None else broken
    request = Request.blank(
        f"/?{urlencode(query)}", method=method.upper(), body=body, headers=headers
    )
    request.matched_route = SimpleNamespace(pattern=f"/api/v1{path}")
    request.matchdict = path_variables
    return request


def outcome(reader, request):
    try:
        read = reader.read(request)
    except ProblemError as problem:
        return problem.status, problem.kind, problem.detail, frozenset(problem.errors)
    parameters = {
        place: dict(getattr(read.parameters, place)) for place in ("path", "query", "header")
    }
    return (
        200,
        parameters,
        repr(sorted(read.body.items())) if isinstance(read.body, dict) else read.body,
    )


@functools.cache
def readers():
    return RequestReader(described()), OpenApiCoreReader(described())


@settings(max_examples=12 * settings().max_examples)
@given(sent=requests())
def test_operations_agree_with_openapi_core(sent):
    ours, theirs = (outcome(reader, sent) for reader in readers())
    if ours != theirs:
        # Wrong parameters are reported before the body is read.
        assert ours[:2] == (400, "invalid-request"), (sent.url, sent.body, ours, theirs)
        assert theirs[0] >= 400
        sent.body = b""
        sent.headers["Content-Type"] = "application/json"
        assert outcome(readers()[1], sent)[3] == ours[3]


def ships(flag):
    return {
        "paths": {
            "/ships": {
                "get": {"parameters": [{"name": "flag", "in": "query", **flag}], "responses": {}}
            }
        }
    }


def ask(document, url="/", method="GET", pattern="/api/v1/ships", **given):
    request = Request.blank(url, method=method, **given)
    request.matched_route = SimpleNamespace(pattern=pattern)
    request.matchdict = {}
    return RequestReader(document).read(request)


@pytest.mark.parametrize(
    "flag",
    [
        {"schema": {"type": "object"}},
        {"schema": {"type": "array", "items": {"type": "array", "items": {}}}},
        {"schema": {"type": "string"}, "style": "spaceDelimited"},
        {"schema": {"anyOf": [{"type": "string"}]}},
        {"content": {"application/json": {"schema": {"type": "string"}}}},
        {"in": "cookie", "schema": {"type": "string"}},
    ],
)
def test_an_unsupported_kind_of_parameter_is_an_error(flag):
    with pytest.raises(ConfigurationError, match="GET /ships: the parameter flag"):
        ask(ships(flag))


@pytest.mark.parametrize("number", ["nan", "inf", "-Infinity", "1e999", "9" * 5000, "x", ""])
def test_nan_and_infinity_are_rejected(number):
    with pytest.raises(ProblemError) as raised:
        ask(ships({"schema": {"type": "number"}}), f"/?flag={number}")
    assert raised.value.errors[0].message == "must be a number"


def test_an_undescribed_operation_is_an_error():
    with pytest.raises(ConfigurationError, match="Describe POST /ships"):
        ask(ships({"schema": {"type": "string"}}), method="POST")


def test_the_end_of_a_pattern_is_the_end_of_the_text():
    # JavaScript and JSON Schema read it this way. openapi-core would allow a line break after it.
    flag = ships({"schema": {"type": "string", "pattern": "^[a-z]+$"}})
    assert ask(flag, "/?flag=abc").parameters.query == {"flag": "abc"}
    with pytest.raises(ProblemError):
        ask(flag, "/?flag=abc%0A")


def test_defaults_are_not_shared():
    ship = json.dumps({"id": str(uuid.UUID(int=7))}).encode()
    schema = {"$ref": "#/components/schemas/Ship"}
    content = {"application/json": {"schema": schema}}
    document = {**ships({"schema": {"type": "string"}}), "components": described()["components"]}
    document["paths"]["/ships"]["post"] = {"requestBody": {"content": content}}
    reader = RequestReader(document)
    request = Request.blank("/", method="POST", body=ship, content_type="application/json")
    request.matched_route = SimpleNamespace(pattern="/api/v1/ships")
    request.matchdict = {}
    first, second = (reader.read(request).body for _ in range(2))
    first["tags"].append("red")
    assert second["tags"] == []


def test_a_schema_may_contain_itself():
    ship = {"id": str(uuid.UUID(int=7))}
    for _ in range(300):
        ship = {"id": str(uuid.UUID(int=7)), "boats": [ship]}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Ship"}}}
    document = {**ships({"schema": {"type": "string"}}), "components": described()["components"]}
    document["paths"]["/ships"]["post"] = {"requestBody": {"content": content}}
    with pytest.raises(ProblemError, match="The body of the request is invalid") as raised:
        ask(
            document,
            method="POST",
            body=json.dumps(ship).encode(),
            content_type="application/json",
        )
    assert raised.value.errors[0].message == "is nested too deeply."


def test_a_schema_holds_no_more_than_it_refers_to():
    """The description has 100 operations, and each would store all schemas."""
    tree = {
        "type": "object",
        "properties": {"parts": {"items": {"$ref": "#/components/schemas/Leaf"}}},
    }
    leaf = {"anyOf": [{"type": "integer"}, {"$ref": "#/components/schemas/Tree"}]}
    schemas = {"Tree": tree, "Leaf": leaf, "Stone": {"type": "string"}}
    compiled = Schemas({"components": {"schemas": schemas}}).compile(
        {"$ref": "#/components/schemas/Tree"}
    )
    assert compiled._schema["components"]["schemas"].keys() == {"Tree", "Leaf"}
    assert compiled.is_valid({"parts": [1, {"parts": []}]})
    assert not compiled.is_valid({"parts": [{"parts": ["no"]}]})

"""Tests that the API description is public, complete and correct."""

import json
import re

import pytest
from openapi_schema_validator import OAS30ReadValidator, OAS30WriteValidator
from openapi_spec_validator import validate

from combine_core.api.explorer import ASSETS
from combine_core.api.specification import DOCUMENT
from combine_core.yaml_files import load_yaml


@pytest.fixture(scope="module")
def described():
    return load_yaml(DOCUMENT.read_text())


def operations(described):
    for path, item in described["paths"].items():
        for method in ("get", "post", "put", "patch", "delete"):
            if method in item:
                yield path, method, item[method]


def resolve(described, node):
    while "$ref" in node:
        target = described
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def test_the_description_needs_no_sign_in(testapp, described):
    served = load_yaml(testapp.get("/api/v1/openapi.yaml", status=200).text)
    # The operations of the service and of add-ons.
    assert {**served["paths"], **described["paths"]} == served["paths"]
    assert served["info"] == described["info"]
    # An add-on may define another security scheme.
    assert served["security"] == [*described["security"], {"oauth2": []}]
    answer = testapp.get("/api/v1/openapi.json", status=200)
    assert answer.content_type == "application/json"
    assert answer.json == json.loads(json.dumps(served))
    testapp.head("/api/v1/openapi.yaml", status=200)
    validate(answer.json)


def test_the_description_lists_all_endpoints(app, described):
    there = {
        (entry["introspectable"]["path"].removeprefix("/api/v1"), method.lower())
        for entry in app.registry.introspector.get_category("combine endpoints")
        # Add-ons describe their endpoints themselves.
        if entry["introspectable"].title.startswith("/api/v1")
        and entry["introspectable"]["openapi"]
        and entry["introspectable"].discriminator.startswith("api.")
        for method in entry["introspectable"]["methods"]
    }
    assert {(path, method) for path, method, _ in operations(described)} == there


def test_each_operation_is_described(described):
    names = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(names)) == len(names)
    for path, method, operation in operations(described):
        assert re.fullmatch("[a-z]+([A-Z][a-z]+)*", operation["operationId"])
        assert operation["summary"]
        assert operation["tags"]
        responses = operation["responses"]
        assert {"401", "503", "default"} <= set(responses)
        assert ("404" in responses) == ("{" in path), path
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(responses)
        if any("limit" in json.dumps(p).lower() for p in operation.get("parameters", [])):
            assert "400" in responses
        for status, response in responses.items():
            # A 204 response has no body.
            media_types = resolve(described, response).get("content", {}).items()
            assert bool(media_types) == (status != "204")
            for media_type, content in media_types:
                assert "example" in content or "examples" in content, (path, method, status)
                assert (media_type == "application/problem+json") == (not status.startswith("2"))
    assert described["components"]["securitySchemes"]["bearerAuth"]["scheme"] == "bearer"
    assert described["security"] == [{"bearerAuth": []}]


def test_each_example_matches_its_schema(described):
    seen = 0
    for path, method, operation in operations(described):
        bodies = [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]
        for number, body in enumerate(bodies):
            for media_type, content in resolve(described, body).get("content", {}).items():
                if not media_type.endswith("json"):
                    continue
                examples = [
                    resolve(described, e)["value"] for e in content.get("examples", {}).values()
                ]
                if "example" in content:
                    examples.append(content["example"])
                schema = {**content["schema"], "components": described["components"]}
                kind = OAS30WriteValidator if number == 0 else OAS30ReadValidator
                for example in examples:
                    errors = list(kind(schema).iter_errors(example))
                    assert not errors, (path, method, errors)
                    seen += 1
    assert seen > 50


def test_the_explorer_loads_nothing_from_elsewhere(testapp):
    page = testapp.get("/docs", status=200)
    policy = page.headers["Content-Security-Policy"]
    for rule in (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
    ):
        assert rule in policy.split("; ")
    assert "/api/v1/openapi.yaml" in page.text
    assert not re.search(r"https?://", page.text)
    # The page contains no inline script.
    assert not re.search(r"<script(?![^>]* src=)", page.text)
    assert not re.search(r"\son[a-z]+=", page.text)
    loaded = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)
    after_signing_in = {"oauth2-redirect.html", "oauth2-redirect.js"}
    assert {path.rpartition("/")[2] for path in loaded} == set(ASSETS) - after_signing_in
    for path in loaded:
        answer = testapp.get(path, status=200)
        assert "max-age" in answer.headers["Cache-Control"]
    assert testapp.get("/docs/explorer.js").content_type in {
        "text/javascript",
        "application/javascript",
    }


@pytest.mark.parametrize("asset", ["index.html", "swagger-ui.js.map", "../app.py", "%2e%2e%2fx"])
def test_the_explorer_serves_no_other_files(testapp, asset):
    testapp.get(f"/docs/{asset}", status=404)

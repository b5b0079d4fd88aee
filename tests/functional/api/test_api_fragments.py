"""Tests that an add-on adds endpoints to the API description."""

import copy

import pytest
from pyramid.authorization import Allow, Everyone
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError
from webtest import TestApp

from combine_core.api.fragments import Fragment, merge, read_fragment
from combine_core.api.specification import DOCUMENT
from combine_core.settings import SETTINGS_KEY, CoreSettings, load_all
from combine_core.yaml_files import load_yaml

FRAGMENT = """
openapi: 3.0.3
info: {title: Ships, version: "1"}
tags:
  - {name: ships, description: Things that float.}
paths:
  /ships:
    get:
      operationId: listShips
      tags: [ships]
      summary: List ships
      parameters:
        - {$ref: "#/components/parameters/Limit"}
      responses:
        "200":
          description: Ships.
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Ships"}
              example: {ships: [Ada]}
        "401": {$ref: "#/components/responses/Unauthorized"}
        default: {$ref: "#/components/responses/Other"}
    post:
      operationId: addShip
      tags: [ships]
      summary: Add a ship
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              additionalProperties: false
              required: [name]
              properties:
                name: {type: string, minLength: 1}
      responses:
        "201":
          description: The ship.
          content:
            application/json:
              schema: {$ref: "#/components/schemas/Ships"}
              example: {ships: [Ada]}
        default: {$ref: "#/components/responses/Other"}
components:
  schemas:
    Ships:
      type: object
      required: [ships]
      properties:
        ships: {type: array, items: {type: string}}
"""


class Harbour:
    """A context of the add-on."""

    def __init__(self, request):
        self.__acl__ = [(Allow, Everyone, "look")]


def _ships(request):
    limit = request.openapi_validated.parameters.query.get("limit", 2)
    if limit == 7:
        return {"ships": "none"}
    return {"ships": ["Ada", "Bob"][:limit]}


def _add_ship(request):
    request.response.status_int = 201
    return {"ships": [request.openapi_validated.body["name"]]}


@pytest.fixture
def fragment(tmp_path):
    path = tmp_path / "ships.yaml"
    path.write_text(FRAGMENT)
    return str(path)


@pytest.fixture
def build(database_url):
    ini = {
        "combine_core.environment": "test",
        "combine_core.database_url": database_url,
        "combine_core.public_url": "http://localhost",
    }

    def build(*fragments, endpoints=True, commit=False):
        loaded = load_all(ini, None, {}, [CoreSettings])
        with Configurator(settings={**ini, SETTINGS_KEY: loaded}) as config:
            config.include("combine_core")
            if commit:
                config.commit()
            for fragment in fragments:
                config.add_api_spec(fragment)
            if endpoints:
                config.add_route("ships", "/api/v1/ships", factory=Harbour)
                for method, view in (("GET", _ships), ("POST", _add_ship)):
                    config.add_view(
                        view,
                        route_name="ships",
                        request_method=method,
                        openapi=True,
                        renderer="json",
                        require_csrf=False,
                    )
            return TestApp(config.make_wsgi_app(), lint=False)

    return build


@pytest.mark.parametrize("commit", [False, True])
def test_endpoints_of_an_add_on_are_described_and_validated(build, fragment, commit):
    app = build(fragment, commit=commit)
    described = load_yaml(app.get("/api/v1/openapi.yaml", status=200).text)
    assert described == app.get("/api/v1/openapi.json", status=200).json
    assert set(described["paths"]) == {*load_yaml(DOCUMENT.read_text())["paths"], "/ships"}
    assert described["info"]["title"] == "Combine"
    assert "ships" in [tag["name"] for tag in described["tags"]]

    assert app.get("/api/v1/ships", {"limit": "1"}, status=200).json == {"ships": ["Ada"]}
    assert app.head("/api/v1/ships", status=200).content_type == "application/json"
    wrong = app.get("/api/v1/ships", {"limit": "many"}, status=400)
    assert wrong.content_type == "application/problem+json"
    assert wrong.json["errors"] == [{"field": "limit", "message": "must be an integer"}]
    assert app.post_json("/api/v1/ships", {"name": "Cid"}, status=201).json == {"ships": ["Cid"]}
    wrong = app.post_json("/api/v1/ships", {"nome": "Cid"}, status=422)
    assert {error["field"] for error in wrong.json["errors"]} == {"name", "nome"}


def test_a_response_that_breaks_the_description_gets_500(build, fragment):
    wrong = build(fragment).get("/api/v1/ships", {"limit": "7"}, status=500)
    assert wrong.content_type == "application/problem+json"


def test_the_description_omits_an_absent_add_on(build):
    app = build(endpoints=False)
    described = load_yaml(app.get("/api/v1/openapi.yaml", status=200).text)
    assert described == load_yaml(DOCUMENT.read_text())
    app.get("/api/v1/ships", status=404)


def test_a_described_endpoint_without_a_view_is_an_error_at_startup(build, fragment):
    with pytest.raises(Exception, match="/ships"):
        build(fragment, endpoints=False)


def test_the_same_description_twice_is_a_conflict(build, fragment):
    with pytest.raises(ConfigurationConflictError, match="combine api spec"):
        build(fragment, fragment)


def test_two_descriptions_of_one_path_are_a_conflict(build, fragment, tmp_path):
    other = tmp_path / "boats.yaml"
    other.write_text(FRAGMENT)
    with pytest.raises(ConfigurationError, match=r"Two API descriptions define '/ships' in paths"):
        build(fragment, str(other))


OURS = {
    "openapi": "3.0.3",
    "info": {"title": "Ours", "version": "1"},
    "paths": {},
    "components": {"schemas": {"Name": {"type": "string"}}},
}


def test_components_of_the_same_name_must_be_equal():
    same = Fragment("same", {"components": {"schemas": {"Name": {"type": "string"}}}})
    other = Fragment("other", {"components": {"schemas": {"Name": {"type": "integer"}}}})
    ours = copy.deepcopy(OURS)
    assert merge(ours, [same])["components"] == OURS["components"]
    assert ours == OURS
    with pytest.raises(ConfigurationError, match="combine_core and other"):
        merge(ours, [other])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("servers: [{url: /}]", "servers, which would affect the whole API"),
        ("security: []", "security, which would affect"),
        ("- a list", "is not an OpenAPI document"),
        ("{", "cannot be read"),
        ("paths: {/x: {get: {}}}", "is not a valid OpenAPI document"),
        (
            "components: {schemas: {A: {$ref: '#/components/schemas/Nowhere'}}}",
            "is not a valid OpenAPI document",
        ),
    ],
)
def test_an_invalid_fragment_is_rejected_with_its_name(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"my_addon:bad\.yaml") as caught:
        merge(OURS, [read_fragment("my_addon:bad.yaml", path)])
    assert words in str(caught.value)


def test_a_missing_file_is_named_in_the_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"my_addon:none\.yaml cannot be read"):
        read_fragment("my_addon:none.yaml", tmp_path / "none.yaml")

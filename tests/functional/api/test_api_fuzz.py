"""Tests that every request gets a response that matches the description, and never a 5xx."""

import datetime
import json
import string
from base64 import urlsafe_b64encode
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from combine_core.api.specification import DOCUMENT
from combine_core.database import session_factory
from combine_core.users import User
from combine_core.yaml_files import load_yaml

DESCRIBED = load_yaml(DOCUMENT.read_text())
FUZZ = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

texts = st.text(st.characters(exclude_categories=[]), max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(["name", "text", "line", "sources", "model"])
bodies = json_values | st.dictionaries(names | texts, json_values, max_size=4)
paths = st.sampled_from(["/api/v1/projects", "{room}/sources", "{room}/runs"])


def check(answer):
    assert answer.status_int < 500, answer.text
    if answer.status_int >= 400:
        assert answer.content_type == "application/problem+json"
        assert answer.json["status"] == answer.status_int


@FUZZ
@given(path=paths, body=bodies)
def test_random_json_never_causes_5xx(room, path, body):
    path = path.format(room=room.path)
    check(room.client.post_json(path, body, status="*"))


@FUZZ
@given(
    path=paths,
    body=st.binary(max_size=200),
    media_type=st.sampled_from(
        ["application/json", "multipart/form-data; boundary=b", "text/plain", ""]
    ),
)
def test_random_bytes_never_cause_5xx(room, path, body, media_type):
    path = path.format(room=room.path)
    check(room.client.post(path, body, headers={"Content-Type": media_type}, status="*"))


form_pieces = st.lists(
    st.sampled_from(
        [
            b"--b\r\n",
            b"--b--\r\n",
            b"\r\n",
            b"\n",
            b'Content-Disposition: form-data; name="file"; filename="a.md"\r\n\r\n',
            b'Content-Disposition: form-data; name="name"\r\n\r\n',
            b"Content-Disposition: form-data; name=\"file\"; filename*=utf-8''%ff.md\r\n\r\n",
            b"Content-Disposition: form-data; name=\r\n\r\n",
            b"Content-Type: text/plain; charset=utf-7\r\n",
            b"x",
            b"\x00\xff",
        ]
    )
    | st.binary(max_size=8),
    max_size=12,
).map(b"".join)


@FUZZ
@given(body=form_pieces)
def test_random_forms_never_cause_5xx(room, body):
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    check(room.client.post(f"{room.path}/sources", body, headers=headers, status="*"))


segments = st.text(
    st.sampled_from(string.ascii_letters + string.digits + "-_.~%/:;@ \x00\n\xe9\u20ac"),
    max_size=12,
)


@FUZZ
@given(
    path=st.sampled_from(sorted(DESCRIBED["paths"])),
    values=st.lists(segments, min_size=3, max_size=3),
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "format"]), st.text(max_size=10), max_size=3
    ),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]),
)
def test_random_paths_and_parameters_never_cause_5xx(room, path, values, query, method):
    for name, value in zip(("{slug}", "{id}", "{number}"), values, strict=True):
        path = path.replace(name, quote(value, safe="%/:;@"))
    path = path.replace("{name}", quote(values[0]))
    url = f"/api/v1{path}?{urlencode(query)}"
    answer = room.client.request(url, method=method, status="*")
    assert answer.status_int < 500, (url, answer.text)


parameters = (
    st.sampled_from(["", "0", "-1", "1", "200", "201", "9" * 5000, "1e9", "\u0661", "\0", "%", "'"])
    | st.text(max_size=25)
    | st.datetimes(timezones=st.timezones() | st.just(datetime.UTC)).map(
        datetime.datetime.isoformat
    )
    | st.binary(min_size=16, max_size=16).map(lambda key: urlsafe_b64encode(key).decode()[:22])
    | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:[0-9]{2}")
)


@FUZZ
@given(data=st.data())
def test_random_values_of_any_parameter_never_cause_5xx(app, room, document, data):
    """Check the operations of the complete description, including those of add-ons."""
    with session_factory(app.registry).begin() as session:
        session.execute(update(User).values(is_admin=True))
    described = room.client.get("/api/v1/openapi.json").json
    lists = [
        (path, [_resolve(described, entry) for entry in item["get"]["parameters"]])
        for path, item in described["paths"].items()
        if "parameters" in item.get("get", {})
    ]
    path, known = data.draw(st.sampled_from(lists))
    names = st.sampled_from([entry["name"] for entry in known if entry["in"] == "query"])
    query = data.draw(st.dictionaries(names, parameters, min_size=1))
    path = path.format(slug=room.slug, id=document["id"], number=1)
    check(room.client.get(f"/api/v1{path}?{urlencode(query)}", status="*"))


def _resolve(described, entry):
    name = entry.get("$ref", "").rpartition("/")[2]
    return described["components"]["parameters"][name] if name else entry


@pytest.mark.parametrize("operation", ["createProject", "createSource", "startRun"])
def test_the_examples_of_the_description_are_accepted(room, operation):
    """The test uses the examples of the description unchanged."""
    [(path, item)] = [
        (path, item["post"])
        for path, item in DESCRIBED["paths"].items()
        if item.get("post", {}).get("operationId") == operation
    ]
    body = json.loads(json.dumps(item["requestBody"]["content"]["application/json"]["example"]))
    if operation == "startRun":
        body["sources"] = [room.add()["id"]]
    room.client.post_json(f"/api/v1{path.replace('{slug}', room.slug)}", body, status=201)

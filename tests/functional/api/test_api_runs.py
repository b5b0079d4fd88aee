"""Tests that runs are started, shown and cancelled."""

import uuid

import pytest


def test_a_run_goes_from_start_to_success(room, run_jobs):
    source = room.add()
    answer = room.client.post_json(
        f"{room.path}/runs", {"line": "brief", "sources": [source["id"]], "model": "extract"}
    )
    run = answer.json
    assert answer.status_int == 201
    assert run == {
        "id": run["id"],
        "state": "running",
        "line": "brief",
        "model": "extract",
        "sources": [source["id"]],
        "source_revisions": [1],
        "steps": [
            {
                "key": key,
                "title": title,
                "state": state,
                "started_at": None,
                "ended_at": None,
                "error": None,
                "error_code": None,
            }
            for key, title, state in [
                ("facts", "Collect facts", "ready"),
                ("brief", "Write the brief", "pending"),
            ]
        ],
        "cost": "0.000000",
        "unpriced_calls": 0,
        "usage": {
            **dict.fromkeys(("calls", "failed_calls", "unanswered_calls"), 0),
            **dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_tokens"), 0),
            "output_tokens": 0,
            "cost": "0.000000",
            "unpriced_calls": 0,
            "currency": "USD",
        },
        "documents": [],
        "error": None,
        "error_code": None,
        "created_at": run["created_at"],
        "ended_at": None,
    }
    assert room.client.get(answer.headers["Location"]).json == run
    run_jobs()
    done = room.client.get(f"/api/v1/runs/{run['id']}").json
    assert done["state"] == "succeeded"
    assert [step["state"] for step in done["steps"]] == ["done", "done"]
    assert all(step["started_at"] <= step["ended_at"] for step in done["steps"])
    assert done["created_at"] <= done["ended_at"]
    [written] = done["documents"]
    assert written == {"id": written["id"], "version": 1, "title": "Brief: notes.md"}
    assert room.client.get(f"{room.path}/runs").json == {"items": [done], "next": None}


def test_the_default_model_comes_from_the_settings(room):
    assert room.run(room.add())["model"] == "extract"


def test_duplicate_sources_are_dropped_and_the_order_stays(room):
    first, second = room.add("first.md"), room.add("second.md")
    run = room.run(second, first, second)
    assert run["sources"] == [second["id"], first["id"]]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"line": "no_such_line"}, "line"),
        ({"line": ""}, "line"),
        ({"line": "\ud800"}, "line"),
        ({"line": True}, "line"),
        ({"line": "b" * 101}, "line"),
        ({"model": "no-such/model"}, "model"),
        ({"model": "anthropic/claude-sonnet-4-5"}, "model"),
        ({"model": "extract/"}, "model"),
        ({"model": "\ud800\x00"}, "model"),
        ({"model": None}, "model"),
        ({"model": 1}, "model"),
        ({"sources": []}, "sources"),
        ({"sources": None}, "sources"),
        ({"sources": {}}, "sources"),
        ({"sources": ["notes.md"]}, "sources/0"),
        ({"sources": ["../../etc"]}, "sources/0"),
        ({"sources": [1]}, "sources/0"),
        ({"sources": [True]}, "sources/0"),
        ({"sources": [["a"]]}, "sources/0"),
        ({"sources": ["\x00" * 36]}, "sources/0"),
        ({"sources": [str(uuid.uuid4())]}, "sources"),
        ({"sources": [str(uuid.uuid4()) for _ in range(21)]}, "sources"),
        ({"sources": [str(uuid.uuid4()) for _ in range(1001)]}, "sources"),
        ({"steps": []}, "steps"),
        ({"sources": [0] * 1_000_000}, ""),
        ({str(number): 0 for number in range(10_001)}, ""),
        ({str(number): 0 for number in range(9_000)}, "0"),
        ({"sources": [0] * 9_000}, "sources"),
    ],
)
def test_an_invalid_run_is_rejected(room, problem, fields, change, field):
    body = {"line": "brief", "sources": [room.add()["id"]], **change}
    told = problem(room.client.post_json(f"{room.path}/runs", body, status="*"), 422)
    assert fields(told)[0] == field
    assert len(fields(told)) <= 20
    assert len(str(told)) < 4000
    assert room.client.get(f"{room.path}/runs").json["items"] == []


def test_each_missing_field_is_named(room, problem, fields):
    told = problem(room.client.post_json(f"{room.path}/runs", {}, status="*"), 422)
    assert sorted(fields(told)) == ["line", "sources"]


def test_sources_of_another_project_are_rejected(signed_in, make_room, problem):
    here, there = make_room(signed_in, "Here"), make_room(signed_in, "There")
    body = {"line": "brief", "sources": [there.add()["id"]]}
    problem(signed_in.post_json(f"{here.path}/runs", body, status="*"), 422)


def test_a_run_is_cancelled(room, run_jobs):
    run = room.run(room.add())
    path = f"/api/v1/runs/{run['id']}"
    cancelled = room.client.post(f"{path}/cancel", status=200).json
    assert cancelled["state"] == "cancelled"
    assert {step["state"] for step in cancelled["steps"]} == {"cancelled"}
    # The result is the same for a repeated request and after the workers have seen the jobs.
    assert room.client.post_json(f"{path}/cancel", {}, status=200).json == cancelled
    run_jobs()
    assert room.client.get(path).json == cancelled


def test_an_ended_run_cannot_be_cancelled(room, run_jobs, problem):
    run = room.run(room.add())
    run_jobs()
    path = f"/api/v1/runs/{run['id']}"
    told = problem(room.client.post(f"{path}/cancel", status="*"), 409)
    assert "succeeded" in told["detail"]
    assert room.client.get(path).json["state"] == "succeeded"


def test_lines_are_listed(signed_in):
    page = signed_in.get("/api/v1/lines").json
    assert "brief" in [line["name"] for line in page["items"]]
    assert page["next"] is None
    [brief] = [line for line in page["items"] if line["name"] == "brief"]
    assert signed_in.get("/api/v1/lines/brief").json == brief
    assert [step["key"] for step in brief["steps"]] == ["facts", "brief"]


def test_an_estimate_costs_nothing_and_starts_nothing(room):
    source = room.add()
    order = {"line": "brief", "sources": [source["id"]], "model": "extract"}
    answer = room.client.post_json(f"{room.path}/runs/estimate", order)
    free = {"calls": 0, "input_tokens": 0, "output_tokens": 0}
    assert {**answer.json, "cost": float(answer.json["cost"])} == {**free, "cost": 0}
    assert room.client.get(f"{room.path}/runs").json["items"] == []


def test_an_estimate_of_an_invalid_run_gives_the_reason(room):
    order = {"line": "brief", "sources": [str(uuid.uuid4())], "model": "extract"}
    answer = room.client.post_json(f"{room.path}/runs/estimate", order, status=422)
    assert answer.json["errors"][0]["field"] == "sources"

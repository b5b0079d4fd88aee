"""Tests that the number of SQL statements of a request does not grow with the response."""


def test_lists_send_a_constant_number_of_statements(room, run_jobs, count):
    client = room.client

    def measured():
        # The first request with a token records its use. Measure the second one.
        client.get("/api/v1/me")
        found = {}
        for path in (
            "/api/v1/projects",
            *(f"{room.path}/{t}" for t in ("sources", "runs", "documents")),
        ):
            with count() as statements:
                page = client.get(f"{path}?limit=200").json
            found[path] = (len(page["items"]), len(statements))
        return found

    def fill(times):
        for number in range(times):
            client.post_json("/api/v1/projects", {"name": "more"}, status=201)
            room.run(room.add(f"{number}.md", "The harbour opens on 1 May. We decided it."))
        run_jobs()

    fill(1)
    few = measured()
    fill(29)
    many = measured()
    for path, (items, statements) in many.items():
        assert items >= 30, path
        assert few[path][0] <= 2
        assert statements == few[path][1], path
        # The user, the project, and its objects.
        assert statements <= 6, path


def test_objects_send_a_constant_number_of_statements(room, document, count):
    room.client.get("/api/v1/me")
    source = document["inputs"][1]["id"]
    for path, most in [
        ("/api/v1/me", 1),
        ("/api/v1/lines", 1),
        (room.path, 1),
        # The text is read only if memory is available.
        (f"{room.path}/sources/{source}", 4),
        (f"{room.path}/sources/{source}/statements", 4),
        (f"/api/v1/runs/{document['run_id']}", 7),
        (f"/api/v1/runs/{document['run_id']}/calls", 3),
        (f"{room.path}/costs", 3),
        (f"{room.path}/search?q=harbour", 4),
        # The document, its review, and whether it is out of date.
        (f"/api/v1/documents/{document['id']}", 6),
        (f"/api/v1/documents/{document['id']}?format=md", 7),
        (f"/api/v1/documents/{document['id']}/versions", 3),
    ]:
        with count() as statements:
            room.client.get(path, status=200)
        assert len(statements) <= most, (path, statements)


def test_a_new_source_is_not_read_again(room, count):
    room.client.get("/api/v1/me")
    with count() as statements:
        room.add("short.md", "The harbour opens.")
    # The user, the project, and the source.
    assert len(statements) == 2, statements


def test_the_description_and_unknown_paths_send_no_statement(room, count):
    with count() as statements:
        room.client.get("/api/v1/nothing", status=404)
        room.client.get("/api/v1/openapi.yaml", status=200)
        room.client.get("/docs", status=200)
    assert statements == []

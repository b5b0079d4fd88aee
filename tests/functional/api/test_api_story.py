"""Tests the whole workflow over the API, from a new project to the Markdown of a document."""


def test_notes_become_a_brief(signed_in, run_jobs):
    project = signed_in.post_json("/api/v1/projects", {"name": "Harbour"}, status=201).json
    assert project["slug"] == "harbour"
    source = signed_in.post_json(
        "/api/v1/projects/harbour/sources",
        {
            "name": "notes.md",
            "text": "# Notes\n\nThe harbour opens on 1 May. It was decided to hire two pilots.\n",
        },
        status=201,
    ).json
    run = signed_in.post_json(
        "/api/v1/projects/harbour/runs", {"line": "brief", "sources": [source["id"]]}, status=201
    ).json
    assert run["state"] == "running"
    run_jobs()
    run = signed_in.get(f"/api/v1/runs/{run['id']}").json
    assert run["state"] == "succeeded", run
    [written] = run["documents"]
    document = signed_in.get(f"/api/v1/documents/{written['id']}").json
    markdown = signed_in.get(f"/api/v1/documents/{written['id']}/markdown")
    assert "The harbour opens on 1 May." in markdown.text
    assert markdown.content_type == "text/markdown"
    assert document["version"] == 1

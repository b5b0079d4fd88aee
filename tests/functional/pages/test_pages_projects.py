"""Tests the list of projects."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from combine_core.projects import create_project


def test_a_project_is_created(ada):
    page = ada.get("/projects")
    form = page.forms[1]
    form["name"] = "  Ovens & <Stoves>  "
    answer = form.submit(status=303)
    assert answer.location == "http://localhost:8000/projects/ovens-stoves"
    project = answer.follow()
    assert project.html.h1.text == "Ovens & <Stoves>"
    assert "No sources yet" in project
    assert "No documents yet" in project
    assert "Ovens &amp; &lt;Stoves&gt;" in ada.get("/projects")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("   ", "The name is empty."),
        ("x" * 201, "The name has 201 characters"),
        ("a\x00b", "The name contains a line break or another control character."),
        ("\u200b", "The name has no visible character."),
    ],
)
def test_an_error_is_shown_at_its_field(ada, name, why):
    form = ada.get("/projects").forms[1]
    form["name"] = name
    page = form.submit(status=400)
    assert why in page.html.find(id="name-error").text
    field = page.html.find(id="name")
    assert field["value"] == name
    assert field["aria-describedby"] == "name-error"
    assert field["aria-invalid"] == "true"
    assert page.html.title.text.startswith("Error: ")
    assert "You have no projects yet" in page


def test_a_form_sent_twice_creates_one_project(place, ada):
    form = ada.get("/projects").forms[1]
    form["name"] = "Ovens"
    # A double click sends two requests in parallel.
    fields = form.submit_fields()

    def press(_):
        client = place.stranger()
        client.cookiejar = ada.client.cookiejar
        return client.post("/projects", fields, status=303).location

    with ThreadPoolExecutor(4) as pool:
        places = set(pool.map(press, range(4)))
    assert places == {"http://localhost:8000/projects/ovens"}
    assert len(ada.get("/projects").html.select("main .rows a")) == 1


def test_others_may_use_the_same_name(place, ada, slug):
    bob = place.visitor("bob@example.com")
    form = bob.get("/projects").forms[1]
    form["name"] = "Ovens"
    assert form.submit(status=303).follow().html.h1.text == "Ovens"
    assert f'"/projects/{slug}"' not in bob.get("/projects")


def test_the_list_links_to_older_projects(place, ada):
    with place.sessions.begin() as session:
        for number in range(51):
            create_project(session, f"Project {number}", ada.user_id)
    page = ada.get("/projects")
    names = [link.text for link in page.html.select("main .rows a")]
    assert names[0] == "Project 50"
    assert len(names) == 50
    older = page.click("Older")
    assert [link.text for link in older.html.select("main .rows a")] == ["Project 0"]
    assert older.click("Newest").html.select_one("main .rows a").text == "Project 50"


def test_an_invalid_cursor_gets_400(ada):
    page = ada.get("/projects?cursor=nonsense", status=400)
    assert "This page of the list does not exist" in page

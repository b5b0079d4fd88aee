"""Tests starting, watching and cancelling runs."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from combine_core.llm import providers_of
from combine_core.runs import Run, RunState, Step, StepState
from combine_core.runs import service as runs_service


def start(page, form_of, *sources, model="extract"):
    form = form_of(page, "run")
    for box in form.fields["source"]:
        box.checked = box._value in {str(source.id) for source in sources}
    form["model"] = model
    return form


def test_a_run_is_started_and_succeeds(place, ada, slug, form_of, run_jobs):
    source = place.source(slug, ada)
    place.source(slug, ada, "Not used.", "other.md")
    page = ada.get(f"/projects/{slug}")
    run = start(page, form_of, source).submit(status=303).follow()
    assert run.html.select_one(".run-state .state").text == "Running"
    assert [a.text for a in run.html.select(".column-side a")] == ["oven.md"]
    live = run.html.find(id="live")
    assert live["data-poll"] == f"{run.request.path}/live"
    # Without JavaScript there are a refresh and a link.
    refresh = run.html.head.noscript.meta
    assert (refresh["http-equiv"], refresh["content"]) == ("refresh", "5")

    run_jobs()
    part = ada.get(live["data-poll"])
    assert part.html.find(id="live")
    assert not part.html.find("header")
    assert not part.html.find(id="live").has_attr("data-poll")
    run = ada.get(run.request.path)
    assert run.html.select_one(".run-state .state").text == "Succeeded"
    assert [s.text for s in run.html.select("ol.rows .state")] == ["Done", "Done"]
    assert "no language model, no cost" in run
    assert not run.html.head.find(["noscript", "script"])
    document = run.click("Brief: oven.md")
    assert "The oven runs at 180 °C from Monday." in document

    page = ada.get(f"/projects/{slug}")
    assert page.html.select_one("#documents .rows a").text == "Brief: oven.md"
    assert page.html.select_one("#runs .state").text == "Succeeded"


def test_the_estimate_is_shown_before_the_start(place, ada, slug, form_of):
    source = place.source(slug, ada)
    page = start(ada.get(f"/projects/{slug}"), form_of, source).submit("estimate")
    assert "no cost" in page.html.find(id="estimate").text
    assert page.html.find(id=f"tick-{source.id}").has_attr("checked")
    assert "No runs yet." in page


def test_a_run_needs_a_source(place, ada, slug, form_of):
    place.source(slug, ada)
    page = start(ada.get(f"/projects/{slug}"), form_of).submit(status=400)
    assert "Name at least one source." in page.html.find(id="run-sources-error").text
    assert "No runs yet." in page


def test_the_selection_is_kept_after_an_error(place, ada, slug, form_of):
    source = place.source(slug, ada)
    other = place.source(slug, ada, "Other", "other.md")
    form = start(ada.get(f"/projects/{slug}"), form_of, source)
    form["model"].force_value("anthropic")
    page = form.submit(status=400)
    assert "ANTHROPIC_API_KEY" in page.html.find(id="model-error").text
    assert page.html.find(id=f"tick-{source.id}").has_attr("checked")
    assert not page.html.find(id=f"tick-{other.id}").has_attr("checked")


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("line", "nonsense", 400), ("source", "nonsense", 400), ("model", "x/y/z", 400)],
)
def test_invalid_forms_are_rejected(place, ada, slug, form_of, field, value, status):
    source = place.source(slug, ada)
    form = start(ada.get(f"/projects/{slug}"), form_of, source)
    fields = [pair for pair in form.submit_fields() if pair[0] != field]
    ada.client.post(f"/projects/{slug}", [*fields, (field, value)], status=status)


def test_a_source_of_another_project_is_rejected(place, ada, slug, form_of):
    source = place.source(slug, ada)
    elsewhere = place.source(place.project(ada, "Stoves"), ada)
    form = start(ada.get(f"/projects/{slug}"), form_of, source)
    fields = [*form.submit_fields(), ("source", str(elsewhere.id))]
    page = ada.client.post(f"/projects/{slug}", fields, status=400)
    assert "Not in this project" in page.html.find(id="run-sources-error").text


def test_a_form_sent_twice_starts_one_run(place, ada, slug, form_of):
    source = place.source(slug, ada)
    other = place.source(slug, ada, "Other text.", "other.md")
    page = ada.get(f"/projects/{slug}")
    first = start(page, form_of, source).submit(status=303).location
    assert start(page, form_of, source).submit(status=303).location == first
    assert start(page, form_of, source, other).submit(status=303).location != first
    assert len(ada.get(f"/projects/{slug}").html.select("#runs .rows li")) == 2


@pytest.mark.parametrize("field", ["line", "model"])
def test_a_choice_that_no_database_can_store(place, ada, slug, form_of, field):
    source = place.source(slug, ada)
    form = start(ada.get(f"/projects/{slug}"), form_of, source)
    form[field].force_value("\0")
    assert form.submit(status=400).html.find(id=f"{field}-error")


def test_a_full_queue_gets_503(place, ada, slug, form_of, monkeypatch):
    monkeypatch.setattr(runs_service, "MAX_LIVE_RUNS", 1)
    source = place.source(slug, ada)
    other = place.source(slug, ada, "Other text.", "other.md")
    place.run(slug, ada, source)
    answer = start(ada.get(f"/projects/{slug}"), form_of, other).submit(status=503)
    assert answer.headers["Retry-After"] == "30"
    assert "Try again later." in answer.html.find(id="line-error").text


def test_a_run_is_cancelled(place, ada, slug, form_of):
    run = place.run(slug, ada, place.source(slug, ada))
    form = form_of(ada.get(f"/runs/{run.id}"), "cancel")
    page = form.submit(status=303).follow()
    assert page.html.select_one(".run-state .state").text == "Cancelled"
    # Cancelling again is harmless.
    form.submit(status=303)


def test_a_run_is_repeated(place, ada, slug, form_of, run_jobs):
    run = place.run(slug, ada, place.source(slug, ada))
    run_jobs()
    with place.sessions.begin() as session:
        # This is long enough ago not to be a double click.
        session.execute(update(Run).values(created_at=Run.created_at - timedelta(minutes=1)))
    again = form_of(ada.get(f"/runs/{run.id}"), "run").submit(status=303)
    assert not again.location.endswith(str(run.id))
    run_jobs()
    page = again.follow()
    assert "version 2" in page


def fail(place, run, code, message):
    with place.sessions.begin() as session:
        session.execute(
            update(Step)
            .where(Step.run_id == run.id, Step.key == "facts")
            .values(state=StepState.FAILED, error_code=code, error=message)
        )
        session.execute(
            update(Run)
            .where(Run.id == run.id)
            .values(state=RunState.FAILED, error_code=code, error=message)
        )


@pytest.mark.parametrize(
    ("code", "remedy"),
    [("auth", "API key"), ("bad_answer", ""), ("internal", "the number of the step")],
)
def test_a_failed_run_shows_the_remedy(place, ada, slug, code, remedy):
    run = place.run(slug, ada, place.source(slug, ada))
    fail(place, run, code, "It went <wrong>. Try another model.")
    page = ada.get(f"/runs/{run.id}")
    assert page.html.select_one(".run-state .state").text == "Failed"
    alert = page.html.find(role="alert").text
    assert "It went <wrong>." in alert
    assert remedy in alert
    assert page.html.find("button", string="Run again")


def test_models_of_configured_providers_are_offered(make_place, form_of):
    place = make_place({"combine_core.anthropic_api_key": "sk-ant-0123456789abcdef0123456789"})
    ada = place.visitor()
    slug = place.project(ada)
    source = place.source(slug, ada)
    page = ada.get(f"/projects/{slug}")
    offered = [radio["value"] for radio in page.html.select("input[name=model]")]
    assert offered == ["extract", "anthropic"]
    # This is the default model of a service with this key.
    form = form_of(page, "run")
    default = providers_of(place.registry).default_model
    assert f"{form['model'].value}/{form['anthropic-model'].value}" == default
    assert default.startswith("anthropic/")
    form = start(page, form_of, source, model="anthropic")
    form["anthropic-model"] = "claude-haiku-4-5"
    run = form.submit(status=303).follow()
    assert "with anthropic/claude-haiku-4-5" in run
    # No model is configured beside the provider.
    form["anthropic-model"] = ""
    refused = form.submit(status=400)
    assert "anthropic/<model>" in refused.html.find(id="model-error").text

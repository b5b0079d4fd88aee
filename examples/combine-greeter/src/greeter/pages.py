from sqlalchemy import select

from combine_core.access import SignedIn
from combine_core.users import Permission
from combine_core.web.endpoints import View
from greeter.models import Greeting


def includeme(config):
    config.add_nav_item("Greetings", "greeter.page")
    config.add_endpoint(
        "greeter.page",
        "/greetings",
        View("GET", show, Permission.PROJECTS_READ, renderer="greeter:greetings.jinja2"),
        factory=SignedIn,
    )


def show(request):
    newest = select(Greeting).order_by(Greeting.id.desc()).limit(20)
    return {"greetings": request.dbsession.scalars(newest).all()}

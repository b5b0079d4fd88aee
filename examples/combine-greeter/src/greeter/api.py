from pyramid.authorization import Allow, Authenticated

from combine_core.access import SignedIn
from combine_core.settings import settings_of
from combine_core.web.endpoints import View
from greeter.service import greet
from greeter.settings import GreeterSettings

WRITE = "greetings:write"


class Greetings(SignedIn):
    """The context of the endpoint. Every signed-in user can send greetings."""

    def __init__(self, request):
        super().__init__(request)
        self.__acl__ = [(Allow, Authenticated, [WRITE])]


def includeme(config):
    config.add_api_spec("greeter:openapi.yaml")
    config.add_endpoint(
        "greeter.api",
        "/greetings",
        View("POST", create_greeting, WRITE),
        factory=Greetings,
        openapi=True,
    )


def create_greeting(context, request):
    word = settings_of(request.registry, GreeterSettings).word
    name = request.openapi_validated.body["name"]
    greeting = greet(request.dbsession, word, name, user_id=context.identity.user_id)
    request.response.status = 201
    return {"id": greeting.id, "text": greeting.text, "created_at": greeting.created_at}

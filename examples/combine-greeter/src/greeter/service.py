import uuid

from sqlalchemy.orm import Session

from greeter.models import Greeting


def greet(session: Session, word: str, name: str, *, user_id: uuid.UUID | None = None) -> Greeting:
    """Store a greeting.

    :param name: whom to greet, 1 to 100 characters
    :param user_id: who greets; nobody if a command does
    """
    greeting = Greeting(text=f"{word}, {name}!", user_id=user_id)
    session.add(greeting)
    session.flush()
    return greeting

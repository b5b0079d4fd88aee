import uuid

from sqlalchemy.orm import Session

from greeter.models import Greeting


def greet(session: Session, word: str, name: str, *, user_id: uuid.UUID | None = None) -> Greeting:
    """Store a greeting.

    :param name: the person to greet, 1 to 100 characters
    :param user_id: the user who sends the greeting; None for the command
    """
    greeting = Greeting(text=f"{word}, {name}!", user_id=user_id)
    session.add(greeting)
    session.flush()
    return greeting

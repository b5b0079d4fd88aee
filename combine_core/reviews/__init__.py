"""Reviews: decisions of people on an exact version of a document."""

from combine_core.reviews.inbox import count_waiting, list_waiting, waits_for
from combine_core.reviews.lists import (
    ReviewSummary,
    list_reviews,
    newest_review,
    newest_reviews,
    read_review,
)
from combine_core.reviews.model import (
    Decision,
    OnExpiry,
    Review,
    ReviewDecision,
    ReviewState,
)
from combine_core.reviews.service import (
    MAX_NEEDED,
    InvalidReview,
    MayNotDecide,
    ReviewConflict,
    Terms,
    ask_for_review,
    decide,
    edit_and_approve,
    list_deciders,
    obstacle_to_decide,
    withdraw,
)

__all__ = [
    "MAX_NEEDED",
    "Decision",
    "InvalidReview",
    "MayNotDecide",
    "OnExpiry",
    "Review",
    "ReviewConflict",
    "ReviewDecision",
    "ReviewState",
    "ReviewSummary",
    "Terms",
    "ask_for_review",
    "count_waiting",
    "decide",
    "edit_and_approve",
    "list_deciders",
    "list_reviews",
    "list_waiting",
    "newest_review",
    "newest_reviews",
    "obstacle_to_decide",
    "read_review",
    "waits_for",
    "withdraw",
]

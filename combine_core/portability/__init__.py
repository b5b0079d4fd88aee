"""Projects as ZIP files: written by one service, read by another one.

What the ZIP has of people are names and addresses. An import makes no accounts, finds none, and gives nobody
a right: :class:`combine_core.portability.model.ImportedPerson` keeps the names. Imported reviews are no
:class:`combine_core.reviews.Review`, so nothing that asks for an approval can find one.
"""

"""Exports projects as ZIP files and imports them into another service.

The ZIP contains the names and addresses of people. An import neither creates nor finds accounts and grants no
rights: :class:`combine_core.portability.model.ImportedPerson` stores the names. Imported reviews are not
stored as :class:`combine_core.reviews.Review`, so they never count as an approval.
"""

"""``combine init``: write the files that a deployment begins with, so that no checkout is needed."""

from __future__ import annotations

import os
from pathlib import Path

import click

# In a checkout, links to the files at its root; in the wheel, the files.
_ORIGINALS = Path(__file__).parent / "starter"
_NAMES = ("production.ini", "development.ini", ".env.example")

_NEXT = """\
Next{where}:

  cp .env.example .env && chmod 600 .env    and fill in SECRET_KEY and DATABASE_URL
  combine settings -c production.ini        shows what is in force, and what is missing
  combine migrate -c production.ini         brings the database up to date
  pserve production.ini                     serves
  combine worker -c production.ini          works on runs, beside it

To try it first, with a database of its own and nothing to fill in:

  pserve development.ini
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write production.ini, development.ini and .env.example to FOLDER.

    FOLDER is made if it is absent. Files that exist are never overwritten: if one does, nothing is
    written.
    """
    _make(folder)
    _write_all(folder)
    click.echo(f"Wrote {', '.join(_NAMES)} to {folder.resolve()}.\n")
    where = "" if folder.resolve() == Path.cwd() else f", in {folder}"
    click.echo(_NEXT.format(where=where), nl=False)


def _make(folder: Path) -> None:
    """Make the folder, unless it is there.

    :raises click.ClickException: it cannot be made
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        above = (path for path in (folder, *folder.parents) if path.exists() and not path.is_dir())
        raise click.ClickException(
            f"{next(above, folder)} is not a folder. Name another folder, or move the file away."
        ) from error
    except OSError as error:
        raise _failed(folder, error) from error


def _write_all(folder: Path) -> None:
    """Write all files, or none.

    :raises click.ClickException: one of them exists, or cannot be written
    """
    # A link that leads nowhere is in the way, too.
    in_the_way = [name for name in _NAMES if os.path.lexists(folder / name)]
    if in_the_way:
        raise click.ClickException(
            f"{folder} has {', '.join(in_the_way)} already. Nothing was written."
            " Move what is there away, or name another folder."
        )
    written: list[Path] = []
    try:
        for name in _NAMES:
            # Exclusive: somebody may have made the file in the meantime.
            with (folder / name).open("xb") as file:
                written.append(folder / name)
                file.write((_ORIGINALS / name).read_bytes())
    except OSError as error:
        for path in written:
            path.unlink()
        raise _failed(folder, error) from error


def _failed(folder: Path, error: OSError) -> click.ClickException:
    return click.ClickException(
        f"{folder} cannot be written: {error.strerror}. Nothing was written."
        " Mend that, or name another folder."
    )

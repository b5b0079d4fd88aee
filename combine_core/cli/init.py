"""``combine init``: writes the files of a new deployment, so that no checkout is needed."""

from __future__ import annotations

import os
from pathlib import Path

import click

# Links to the files at the root of a checkout. The wheel contains the files themselves.
_ORIGINALS = Path(__file__).parent / "starter"
_NAMES = ("production.ini", "development.ini", ".env.example")

_NEXT = """\
Next{where}:

  cp .env.example .env && chmod 600 .env    then fill in SECRET_KEY and DATABASE_URL
  combine settings -c production.ini        shows the settings in force and the missing ones
  combine migrate -c production.ini         migrates the database to the newest revision
  pserve production.ini                     starts the web server
  combine worker -c production.ini          starts a worker, which processes runs

To try Combine first, with a database of its own and nothing to fill in:

  pserve development.ini
"""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write production.ini, development.ini and .env.example to FOLDER.

    FOLDER is created if it is missing. Existing files are never overwritten: if there is one, nothing
    is written.
    """
    _create(folder)
    _write_all(folder)
    click.echo(f"Wrote {', '.join(_NAMES)} to {folder.resolve()}.\n")
    where = "" if folder.resolve() == Path.cwd() else f", in {folder}"
    click.echo(_NEXT.format(where=where), nl=False)


def _create(folder: Path) -> None:
    """Create the folder unless it exists.

    :raises click.ClickException: it cannot be created
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        files = (path for path in (folder, *folder.parents) if path.exists() and not path.is_dir())
        raise click.ClickException(
            f"{next(files, folder)} is not a folder. Name another folder, or move the file away."
        ) from error
    except OSError as error:
        raise _failed(folder, error) from error


def _write_all(folder: Path) -> None:
    """Write all files, or none.

    :raises click.ClickException: a file exists already or cannot be written
    """
    # lexists, because writing to a dangling link fails too.
    existing = [name for name in _NAMES if os.path.lexists(folder / name)]
    if existing:
        raise click.ClickException(
            f"{folder} already contains {', '.join(existing)}. Nothing was written."
            " Move the existing files away, or name another folder."
        )
    written: list[Path] = []
    try:
        for name in _NAMES:
            # Exclusive, because another process may have created the file in the meantime.
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
        " Fix the cause, or name another folder."
    )

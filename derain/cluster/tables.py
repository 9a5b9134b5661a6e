"""Parquet files of records in a place, a part at a time."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

from derain.cluster.places import Place
from derain.errors import DerainError
from derain.extras import require

SUFFIX = ".parquet"


def schema_of(columns: dict[str, str]) -> Any:
    """Return Arrow's schema of columns, from names to types such as ``int64``."""
    arrow = require("pyarrow")
    kinds = {"time": arrow.timestamp("ms", tz="UTC")}
    return arrow.schema(
        [
            (name, kinds[kind] if kind in kinds else getattr(arrow, kind)())
            for name, kind in columns.items()
        ]
    )


def table_of(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> Any:
    """Return rows as Arrow's table."""
    return require("pyarrow").Table.from_pylist(list(rows), schema=schema_of(columns))


def write_rows(
    place: Place, name: str, rows: Sequence[dict[str, Any]], columns: dict[str, str]
) -> None:
    """Write rows as a file, completely or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    write_table(place, name, table_of(rows, columns))


def write_table(place: Place, name: str, table: Any) -> None:
    """Write Arrow's table as a file, as `write_rows` does."""
    file = io.BytesIO()
    require("pyarrow.parquet").write_table(table, file, compression="zstd")
    place.write(name, file.getvalue())


def read_table(place: Place, name: str) -> Any:
    """Return the rows of one file as Arrow's table.

    Raises:
        OSError: If it cannot be read.
    """
    data = require("pyarrow").BufferReader(place.read(name))
    return require("pyarrow.parquet").ParquetFile(data).read(use_threads=False)


def read_tables(place: Place, folder: str, columns: Sequence[str]) -> Iterator[Any]:
    """Yield columns of the files in a folder, in the order of their names, a file at a time.

    Raises:
        DerainError: If a file is not one of these.
        OSError: If it cannot be read.
    """
    arrow, parquet = require("pyarrow"), require("pyarrow.parquet")
    for name in table_names(place, folder):
        data = place.read(f"{folder}/{name}")
        try:
            # On this thread: Arrow's own threads would keep memory of their own.
            file = parquet.ParquetFile(arrow.BufferReader(data))
            if missing := [each for each in columns if each not in file.schema_arrow.names]:
                raise KeyError(f"no column {missing[0]}")
            yield from (
                arrow.Table.from_batches([batch])
                for batch in file.iter_batches(4096, columns=list(columns), use_threads=False)
            )
        except (arrow.ArrowInvalid, KeyError, OSError) as error:
            text = " ".join(str(error).split())[:200]
            shown = place.shown(f"{folder}/{name}")
            raise DerainError(
                f"{shown}: not a record of derain's ({text}); remove it, or use another output"
            ) from error


def table_names(place: Place, folder: str) -> list[str]:
    """Return the names of the files in a folder, in their order."""
    names = (entry.name for entry in place.contents(folder).files)
    return sorted(name for name in names if name.endswith(SUFFIX) and not name.startswith("."))

"""The names of the images in a store, read beside everything else: for shells, which ask at every key."""

import os
import sqlite3
from contextlib import closing
from urllib.parse import quote


def image_names(root: str) -> tuple[str, ...]:
    """Takes no lease and writes nothing. () when there is no store, or one that cannot be read just now."""
    path = os.path.join(os.path.abspath(root), "store.db")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=0.2)) as database:
            return tuple(str(row[0]) for row in database.execute("SELECT name FROM names ORDER BY name"))
    except sqlite3.Error:
        return ()

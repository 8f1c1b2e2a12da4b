"""Tables of the project file, version 1. ``docs/project-file.md`` explains them to people."""

from __future__ import annotations

import sqlite3

APPLICATION_ID = 0x504F5345
"""``POSE`` in ASCII, kept in the SQLite header at byte 68."""

VERSION = 1
"""Version of the tables, kept in the SQLite header as ``user_version`` at byte 60."""

SUFFIX = ".poseproj"

TABLES = """
CREATE TABLE media (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL,
    relative TEXT NOT NULL,
    frame_count INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    info TEXT NOT NULL
);
CREATE INDEX media_by_fingerprint ON media (fingerprint);

CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    media INTEGER NOT NULL REFERENCES media (id),
    started REAL NOT NULL,
    finished REAL,
    outcome TEXT NOT NULL DEFAULT 'running',
    note TEXT NOT NULL DEFAULT '',
    config TEXT NOT NULL,
    networks TEXT NOT NULL,
    frames TEXT NOT NULL,
    done INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_by_media ON run (media, id);

CREATE TABLE run_frame (
    run INTEGER NOT NULL REFERENCES run (id),
    frame INTEGER NOT NULL,
    PRIMARY KEY (run, frame)
) WITHOUT ROWID;

CREATE TABLE frame (
    media INTEGER NOT NULL REFERENCES media (id),
    frame INTEGER NOT NULL,
    timestamp REAL,
    fingerprint TEXT NOT NULL,
    run INTEGER REFERENCES run (id),
    state INTEGER NOT NULL,
    people INTEGER NOT NULL,
    conf_min REAL,
    conf_mean REAL,
    conf_max REAL,
    PRIMARY KEY (media, frame)
) WITHOUT ROWID;
CREATE INDEX frame_by_state ON frame (media, state, frame);

CREATE TABLE lane (
    media INTEGER NOT NULL REFERENCES media (id),
    block INTEGER NOT NULL,
    cells BLOB NOT NULL,
    PRIMARY KEY (media, block)
) WITHOUT ROWID;

CREATE TABLE joint_lane (
    media INTEGER NOT NULL REFERENCES media (id),
    block INTEGER NOT NULL,
    joint INTEGER NOT NULL,
    cells BLOB NOT NULL,
    PRIMARY KEY (media, joint, block)
) WITHOUT ROWID;

CREATE TABLE prediction (
    id INTEGER PRIMARY KEY,
    media INTEGER NOT NULL REFERENCES media (id),
    frame INTEGER NOT NULL,
    run INTEGER NOT NULL REFERENCES run (id),
    rank INTEGER NOT NULL,
    score REAL NOT NULL,
    track INTEGER,
    box BLOB NOT NULL,
    keypoints BLOB NOT NULL,
    scores BLOB NOT NULL
);
CREATE INDEX prediction_by_frame ON prediction (media, frame, run, rank);

CREATE TABLE correction (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    media INTEGER NOT NULL REFERENCES media (id),
    frame INTEGER NOT NULL,
    origin INTEGER REFERENCES prediction (id),
    run INTEGER REFERENCES run (id),
    deleted INTEGER NOT NULL DEFAULT 0,
    score REAL NOT NULL,
    track INTEGER,
    box BLOB NOT NULL,
    keypoints BLOB NOT NULL,
    scores BLOB NOT NULL,
    visibility BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    timestamp REAL,
    extra TEXT NOT NULL DEFAULT '',
    changed REAL NOT NULL
);
CREATE INDEX correction_by_frame ON correction (media, frame, deleted);
CREATE INDEX correction_by_origin ON correction (origin) WHERE origin IS NOT NULL;
CREATE INDEX correction_by_track ON correction (media, track, frame) WHERE track IS NOT NULL;

CREATE TABLE track (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    media INTEGER NOT NULL REFERENCES media (id),
    run INTEGER NOT NULL REFERENCES run (id),
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    mapping TEXT NOT NULL
);
CREATE INDEX track_by_media ON track (media, first);

CREATE TABLE track_lane (
    media INTEGER NOT NULL REFERENCES media (id),
    block INTEGER NOT NULL,
    run INTEGER NOT NULL,
    track INTEGER NOT NULL,
    bits BLOB NOT NULL,
    PRIMARY KEY (media, block, run, track)
) WITHOUT ROWID;

CREATE TABLE doubt (
    id INTEGER PRIMARY KEY,
    media INTEGER NOT NULL REFERENCES media (id),
    frame INTEGER NOT NULL,
    prediction INTEGER REFERENCES prediction (id),
    other INTEGER REFERENCES prediction (id),
    joint INTEGER,
    kind TEXT NOT NULL,
    figure REAL NOT NULL,
    weight REAL NOT NULL
);
CREATE INDEX doubt_by_frame ON doubt (media, frame);
CREATE INDEX doubt_by_weight ON doubt (media, weight DESC, frame);

CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    step INTEGER NOT NULL,
    undone INTEGER NOT NULL DEFAULT 0,
    at REAL NOT NULL,
    name TEXT NOT NULL,
    edit TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    images BLOB NOT NULL
);
CREATE INDEX journal_by_state ON journal (undone, id);
CREATE INDEX journal_by_step ON journal (step, id);

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""

JOURNALED: dict[str, frozenset[str]] = {
    "correction": frozenset(
        {
            *("id", "media", "frame", "origin", "run", "deleted", "score", "track", "box", "keypoints", "scores"),
            *("visibility", "fingerprint", "timestamp", "extra", "changed"),
        }
    ),
    "track": frozenset({"id", "media", "run", "first", "last", "mapping"}),
}
"""Tables whose rows edits may change, with their columns: undo writes nothing else, whatever a file says."""

NAMES = frozenset(
    {
        *("media", "run", "run_frame", "frame", "lane", "joint_lane", "prediction", "correction", "track", "doubt"),
        *("track_lane", "journal", "setting"),
    }
)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of an empty file and set its two numbers. Runs before the file is switched to WAL."""
    connection.executescript(
        f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; BEGIN; {TABLES} COMMIT;"
    )


def missing_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of tables that an opened file lacks, sorted."""
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return sorted(NAMES - {name for (name,) in rows})

"""Where imgnn keeps what it can make or fetch again (converted networks, what was found out about pictures), and where
the files are that came with it."""

import os
from pathlib import Path

import platformdirs

ASSETS = Path(__file__).parent / "assets"


def home() -> Path:
    """IMGNN_HOME, else the platform's cache folder."""
    named = os.environ.get("IMGNN_HOME")
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("imgnn", appauthor=False))

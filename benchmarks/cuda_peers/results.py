"""One results file, updated after each piece of work, so that a run goes on where it stopped."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

FORMAT = 1


class Budget:
    """Seconds that a command may take in all."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return self._end - time.monotonic()


class Results:
    """A JSON object in a file: {"format", "rehearsal", "machine", SECTION: {"key", ENTRIES}}.

    A file that is torn, of another format, or of the other kind (rehearsal or not) is put aside as NAME.old,
    and said in `told`; then all begins anew.
    """

    def __init__(self, path: Path, rehearsal: bool) -> None:
        self.path, self.told = path, ""
        self.content: dict[str, Any] = {"format": FORMAT, "rehearsal": rehearsal, "machine": {}}
        if not path.exists():
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            why = "" if isinstance(before, dict) and before.get("format") == FORMAT else "of another format"
            if not why and before.get("rehearsal") != rehearsal:
                why = "of a rehearsal" if before.get("rehearsal") else "not of a rehearsal"
        except ValueError:
            before, why = {}, "torn"
        if why:
            aside = path.with_name(path.name + ".old")
            path.replace(aside)
            self.told = f"{path} is {why}: put aside as {aside.name}, all begins anew"
        else:
            self.content = before

    def section(self, name: str, key: str) -> dict[str, Any]:
        """The entries of one command. They belong to `key`, what was run (a hash of the binaries): with
        another one the section begins anew."""
        section = self.content.get(name)
        if not isinstance(section, dict) or section.get("key") != key:
            section = self.content[name] = {"key": key, "entries": {}}
        entries: dict[str, Any] = section["entries"]
        return entries

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_name(self.path.name + ".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump(self.content, file, indent=1, allow_nan=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

"""The pages of docs/, as a reader with a terminal takes them: scripts to save, and commands to copy."""

import dataclasses
import os
import pathlib
import re
import shlex
import subprocess

_PAGES = pathlib.Path(os.environ["CHANCERY_DOCS"])


@dataclasses.dataclass(frozen=True)
class Step:
    """A command of a page, and what the page says that it prints."""

    command: str
    shown: str


def blocks(page: str, language: str, section: str = "") -> list[str]:
    """The blocks of `language` in the section of a page, or in all of it."""
    text = (_PAGES / page).read_text(encoding="utf-8")
    if section:
        heading = re.search(rf"^(#+) {re.escape(section)}$", text, re.MULTILINE)
        assert heading is not None, f"{page} has no section {section}"
        rest = text[heading.end() :]
        following = re.search(rf"^#{{1,{len(heading[1])}}} (?!.*\.py )", rest, re.MULTILINE)
        text = rest[: following.start()] if following else rest
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(page: str, section: str) -> list[Step]:
    """The commands of a section, in their order."""
    found = []
    for block in blocks(page, "console", section):
        for said in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *shown = said.splitlines(keepends=True)
            while _goes_on(command):
                command += shown.pop(0)
            found.append(Step(command.strip(), "".join(shown)))
    assert found, f"{page} has no command in {section}"
    return found


def _goes_on(command: str) -> bool:
    """Whether a shell would wait for another line."""
    if command.rstrip("\n").endswith("\\"):
        return True
    try:
        shlex.split(command)
    except ValueError:
        return True
    return False


class Terminal:
    """Where a reader types: a folder of their own, in which variables stay from one command to the next."""

    def __init__(self, folder: pathlib.Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        # A page leaves out what only a script needs.
        (folder / ".curlrc").write_text("silent\nshow-error\nmax-time = 20\n", encoding="utf-8")
        self.environment["CURL_HOME"] = str(folder)
        self.put_in: dict[str, str] = {}

    def types(self, step: Step) -> str:
        """Runs a command, with what the reader puts in for the page's own; answers with what it prints."""
        command = step.command
        for theirs, ours in self.put_in.items():
            command = command.replace(theirs, ours)
        set_here = re.match(r"([A-Z]+)=", command)
        if set_here:
            command += f'\nprintf %s "${set_here[1]}"'
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ran.returncode == 0, f"{command}\n{ran.stdout}{ran.stderr}"
        if set_here:
            self.environment[set_here[1]] = ran.stdout
        return ran.stdout

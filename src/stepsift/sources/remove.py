"""`stepsift remove`: a source file, its `.dvc` file and its rule, all away or all left."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from stepsift.core.disk import file_md5
from stepsift.core.errors import SourceError
from stepsift.ingest.files import find as files
from stepsift.sources.place import all_or_nothing, dvc_file_of, next_commands, rewrite
from stepsift.sources.rules import Rule, one_line, rules, without_rule


@dataclass(frozen=True)
class Removal:
    """A file that may be removed."""

    target: Path
    params_file: Path
    rule: Rule | None
    params_text: str

    def lines(self) -> list[str]:
        """What would be taken away."""
        rule = f"rule        - {one_line(self.rule)}" if self.rule else "rule        it has none"
        return [f"file        {self.target} and {dvc_file_of(self.target)}", rule]

    def carry_out(self) -> list[str]:
        """Take all of it away, or nothing where any of it fails; DVC's cache keeps the bytes. The next commands."""
        dvc_file = dvc_file_of(self.target)
        with all_or_nothing([self.params_file, dvc_file]):
            rewrite(self.params_file, self.params_text)
            dvc_file.unlink()
            # Last: it may be too large to be kept in memory meanwhile.
            self.target.unlink(missing_ok=True)
        return next_commands(f"Remove {self.target.name}", [dvc_file, *([self.params_file] if self.rule else [])])


def plan_removal(what: str, sources: Path, params_file: Path) -> Removal:
    """Find the one added file that `what` names: its path, its name with or without the ending, or its teacher.

    Raises SourceError where that is none or several, or where the file was changed since DVC saw it.
    """
    text = params_file.read_bytes().decode()
    known = {p.with_suffix("").relative_to(sources).as_posix(): p for p in sorted(sources.rglob("*.dvc"))}
    of_file = {rule["match"]: rule for rule in rules(text)}
    found = [
        name
        for name in known
        if what in (name, _stem(name), str(sources / name), of_file.get(name, {}).get("teacher"))
        or Path(what).absolute() == (sources / name).absolute()
    ]
    if len(found) != 1:
        several = f"{len(found)} files ({', '.join(found)})" if found else "no file"
        raise SourceError(
            f"'{what}' names {several} that stepsift added; name one of: {', '.join(known) or 'there is none'}"
        )
    [name] = found
    target = sources / name
    md5 = yaml.safe_load(known[name].read_text())["outs"][0]["md5"]
    if target.exists() and file_md5(target) != md5:
        raise SourceError(
            f"{target} was changed since it was added, and DVC does not hold what it is now; run 'dvc add {target}' to "
            f"keep that, or 'dvc checkout {target}' to lose it, and remove it then"
        )
    return Removal(target, params_file, of_file.get(name), without_rule(text, name))


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return base[: len(base) - len(next((s for s in files.SUFFIXES if base.lower().endswith(s)), ""))]

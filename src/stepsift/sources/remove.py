"""`stepsift remove`: a file or folder of sources, its `.dvc` files and its rule file, all away or all left."""

from dataclasses import dataclass
from pathlib import Path

from stepsift import params
from stepsift.core.disk import file_md5
from stepsift.core.errors import SourceError
from stepsift.core.text import count
from stepsift.ingest.files import find as files
from stepsift.sources.dvc_file import held_data
from stepsift.sources.place import all_or_nothing, commit_command, dvc_file_of, remove_empty, rule_file_of
from stepsift.sources.removed import known_to_git
from stepsift.sources.rules import as_keys, as_yaml, own_rule


@dataclass(frozen=True)
class Removal:
    """A file or folder that may be removed."""

    target: Path
    tracked: list[Path]
    """Its files; `target` itself where it is one."""
    rule_files: list[Path]
    rule: params.Rule
    """What the rule file beside it says."""

    def lines(self) -> list[str]:
        """What would be taken away."""
        text = as_yaml(self.rule).splitlines()
        rule = [f"rule        {rule_file_of(self.target)}", *(f"            {line}" for line in text)]
        if self.tracked == [self.target]:
            place = f"file        {self.target} and {dvc_file_of(self.target)}"
        else:
            place = f"folder      {self.target}, {count(len(self.tracked), 'file')} with .dvc files"
        return [place, *(rule if text else ["rule        it has none"])]

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        return {"target": self.target, "files": self.tracked, "rule": as_keys(self.rule)}

    def carry_out(self) -> list[str]:
        """Take all of it away; the next commands.

        Rules and `.dvc` files are put back where any of it fails; tracked files go last; DVC's cache keeps them.
        """
        small = [*map(dvc_file_of, self.tracked), *self.rule_files]
        with all_or_nothing(small):
            for path in small:
                path.unlink()
            # Last: they may be too large to be kept in memory meanwhile.
            for path in self.tracked:
                path.unlink(missing_ok=True)
        if self.target.is_dir():
            remove_empty([self.target, *(p for p in self.target.rglob("*") if p.is_dir())])
        if self.tracked != [self.target]:
            small = [self.target, *(p for p in self.rule_files if p == rule_file_of(self.target))]
        committed = known_to_git(small)
        commit = [commit_command(f"Remove {self.target.name}", committed)] if committed else []
        return [*commit, "dvc repro"]


def plan_removal(what: str, sources: Path) -> Removal:
    """Find the one added file or folder that `what` names: its path, its name with or without ending, or its teacher.

    Raises SourceError where that is none or several, or where a file was changed since DVC saw it; ParamsError where
    a rule file is wrong.
    """
    tracked = {p.with_suffix("").relative_to(sources).as_posix(): p for p in sorted(sources.rglob("*.dvc"))}
    folders = {str(parent) for name in tracked for parent in Path(name).parents if parent.name}
    rules = {name: own_rule(sources / name) for name in (*tracked, *sorted(folders))}
    names = [
        name
        for name, rule in rules.items()
        if what in (_stem(name), str(sources / name), rule.teacher)
        or Path(what).absolute() == (sources / name).absolute()
    ]
    # A whole name is that of one, whatever else ends so.
    names = [what] if what in rules else names
    if len(names) != 1:
        several = f"{len(names)} files or folders ({', '.join(names)})" if names else "no file or folder"
        which = f"name one of: {', '.join(rules)}" if rules else f"nothing in {sources} was added by it"
        raise SourceError(f"'{what}' names {several} that stepsift added; {which}")
    [name] = names
    inside = [n for n in tracked if n == name or n.startswith(f"{name}/")]
    for file in inside:
        _require_unchanged(sources / file, tracked[file])
    beside = [path for n, path in files.rule_files(sources).items() if n == name or n.startswith(f"{name}/")]
    return Removal(sources / name, [sources / file for file in inside], beside, rules[name])


def _require_unchanged(target: Path, dvc_file: Path) -> None:
    md5 = held_data(dvc_file.read_text(encoding="utf-8"), str(dvc_file))[0].md5
    if md5.endswith(".dir"):
        raise SourceError(
            f"{dvc_file} holds a whole folder, which stepsift does not add so; run 'dvc remove {dvc_file}', and delete "
            f"{target}"
        )
    if target.exists() and file_md5(target) != md5:
        raise SourceError(
            f"{target} was changed since it was added, and DVC does not hold what it is now; run 'dvc add {target}' to "
            f"keep that, or 'dvc checkout {target}' to lose it, and remove it then"
        )


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    return base[: len(base) - len(next((s for s in files.SUFFIXES if base.lower().endswith(s)), ""))]

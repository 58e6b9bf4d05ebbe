"""`stepsift add`: files or folders of traces, their `.dvc` files and rule files, all or none of it."""

import logging
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from stepsift import params
from stepsift.core.disk import IN_DVC_CACHE, file_md5, write_text
from stepsift.core.errors import SourceError
from stepsift.core.text import error_line, shell_word, terminal_line
from stepsift.ingest.files import find as files
from stepsift.ingest.files.find import SourceFile
from stepsift.ingest.teachers import teacher_of
from stepsift.sources.effect import Alone, Effect, PoolBeside, read_alone, read_in_pool
from stepsift.sources.origin import Origin
from stepsift.sources.part import Part, part_of, rules_of
from stepsift.sources.place import all_or_nothing, commit_command, dvc_file_of, rule_file_of
from stepsift.sources.rules import as_keys, as_yaml, over, own_rule, without

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Addition:
    """Files and folders that were checked and may be added."""

    sources: Path
    parts: list[Part]
    effect: Effect

    def lines(self) -> list[str]:
        """What would be read, and what would be written."""
        return [*self.effect.lines(), *(line for part in self.parts for line in part.lines())]

    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        parts = [{"target": p.target, "files": [f.name for f in p.files], "rule": as_keys(p.rule)} for p in self.parts]
        return self.effect.as_json() | {"parts": parts}

    def carry_out(self) -> list[str]:
        """Write all of it, or nothing where any of it fails; returns the commands to type next.

        Raises SourceError where DVC does not take the files.
        """
        copies = [(f.path, self.sources / f.name) for part in self.parts for f in part.files]
        rules = [(path, rule_file_of(self.sources / name)) for part in self.parts for name, path in part.inner.items()]
        copies, rules = _elsewhere(copies), _elsewhere(rules)
        tracked = [self.sources / f.name for part in self.parts for f in part.files]
        texts = {rule_file_of(part.target): as_yaml(part.rule) for part in self.parts}
        written = [target for _, target in (*copies, *rules)]
        with all_or_nothing([*map(dvc_file_of, tracked), *texts, *written]):
            for path, target in (*copies, *rules):
                _copy(path, target)
            for part in self.parts:
                # One that says so already may have comments of its own.
                if as_yaml(part.rule) and own_rule(part.target) != part.rule:
                    write_text(as_yaml(part.rule), rule_file_of(part.target))
            # Last: where DVC is told to stage what it writes, nothing that fails afterwards has to be unstaged.
            _track(tracked)
        changed = [part.target if part.target.is_dir() else dvc_file_of(part.target) for part in self.parts]
        changed += [path for path, text in texts.items() if text]
        names = ", ".join(part.target.name for part in self.parts)
        return [commit_command(f"Add {names}", changed), "dvc push", "dvc repro"]


def plan_addition(origins: list[Origin], sources: Path, settings: params.Ingest) -> Addition:
    """Check files and folders as a part of the pool below `sources`.

    Raises SourceError where one cannot be read, lies there already, has the name of another file, or holds rows of
    several teachers while its `about` names one; ParamsError where a rule file is wrong.
    """
    parts, alone = [], []
    for origin in origins:
        if sources.is_dir() and origin.path.resolve() in sources.resolve().parents:
            raise SourceError(
                f"{origin.path} holds {sources}, the sources themselves; name the files and folders to add"
            )
        part = part_of(origin, sources, one=len(origins) == 1)
        # An absolute --name leads out.
        inside = part.target.is_relative_to(sources)
        name = str(part.target.relative_to(sources) if inside else part.target)
        if not _NAME.fullmatch(name) and origin.path.resolve() != part.target.resolve():
            raise SourceError(
                f"it would be named '{terminal_line(name)}'; give it a --name of letters, digits and . _ + - that "
                "begins with none of . + -"
            )
        from_origin = {k: None for k in ("teacher", "licence") if getattr(origin.about, k)}
        # Who wrote the rows, and under which licence, is asked of the rows first.
        rule = over(part.rule, without(origin.about, *from_origin))
        seen = read_alone(part.files, rules_of(part, sources, rule), settings)
        rule = _completed(rule, seen, part, origin.about)
        parts.append(replace(part, rule=rule))
        alone.append(_as_ruled(seen, rule))
    added = [file for part in parts for file in part.files]
    names = [file.name for file in added]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(
            f"two of the files would be named '{terminal_line(twice[0])}'; add them one by one, each with a --name"
        )
    rules = {name: rule for part in parts for name, rule in rules_of(part, sources, part.rule).items()}
    pool = _pool(added, sources)
    return Addition(sources, parts, read_in_pool(added, _sum(alone), pool, rules, settings))


def _pool(added: list[SourceFile], sources: Path) -> PoolBeside:
    """All other files of the pool; raise SourceError where the added ones cannot stand beside them."""
    for whole in (sources, *(sources / parent for f in added for parent in Path(f.name).parents)):
        if (dvc := dvc_file_of(whole)).exists():
            raise SourceError(
                f"{dvc} holds the whole folder, which would conflict in every merge; run 'dvc remove {dvc}', and "
                f"'stepsift add' with each file and folder below {sources}"
            )
    for file in added:
        target = sources / file.name
        if dvc_file_of(target).exists():
            raise SourceError(
                f"{target} was added already ({dvc_file_of(target)}); see 'stepsift remove', or give a --name"
            )
        _require_inside(target, sources)
        if target.exists() and not target.samefile(file.path):
            raise SourceError(
                f"there is a file {target} with different content already; choose another name with --name"
            )
    names = {file.name for file in added}
    try:
        others = [f for f in files.find_files(sources)[0] if f.name not in names]
    except SourceError:  # the first file of a pool
        others = []
    twins = {other.name.casefold(): other.path for other in others}
    for file in added:
        is_moved = file.path.resolve() != (sources / file.name).resolve()
        if is_moved and (twin := twins.get(file.name.casefold())):
            raise SourceError(
                f"{sources / file.name} differs from {twin} in small and capital letters alone, which some disks take "
                "for one file; choose another name with --name"
            )
    by_size: dict[int, list[SourceFile]] = {}
    for other in others:
        by_size.setdefault(other.path.stat().st_size, []).append(other)
    for file in added:
        for other in by_size.get(file.path.stat().st_size, []):
            if file_md5(other.path) == file_md5(file.path):
                raise SourceError(f"{file.path} is there already, as {other.path}; nothing is to be added")
    return PoolBeside(others, {name: params.load_rule(path) for name, path in files.rule_files(sources).items()})


def _require_inside(target: Path, sources: Path) -> None:
    """Raise SourceError where a link in the sources leads out of them, but into DVC's cache."""
    real = target.resolve()
    if not real.is_relative_to(sources.resolve()) and not IN_DVC_CACHE.search(real.as_posix()):
        raise SourceError(
            f"'{target}' leads to '{real}', outside of the sources; remove the link and run "
            f"'stepsift add {shell_word(str(real))}'"
        )


def _completed(rule: params.Rule, alone: Alone, part: Part, about: params.Rule) -> params.Rule:
    """The rule with the teacher and licence that are known, where the rows do not say just that."""
    update = {}
    if about.teacher and set(alone.teachers) != {about.teacher}:
        # A file's name stands for a teacher only where nothing else does.
        named = sorted(set(alone.teachers) - {teacher_of(file, "auto") for file in part.files})
        if len(named) > 1:
            raise SourceError(
                f"{part.target.name} holds rows of {len(named)} teachers ({', '.join(named[:5])}); leave out "
                f"--teacher, which would call them all {about.teacher}"
            )
        update["teacher"] = about.teacher
    # A hub's cards write identifiers in small letters.
    if about.licence and {(name or "").lower() for name in alone.licences} != {about.licence.lower()}:
        update["licence"] = about.licence
    return over(rule, params.rule(update, "the rule"))


def _as_ruled(alone: Alone, rule: params.Rule) -> Alone:
    """What was read of a part before its teacher and licence were known, with them."""
    teachers = {rule.teacher: sum(alone.teachers.values())} if rule.teacher else alone.teachers
    licences: dict[str | None, int] = {}
    for licence, n in alone.licences.items():
        licences[licence or rule.licence] = licences.get(licence or rule.licence, 0) + n
    return Alone(alone.prompts, teachers, licences, alone.verdicts)


def _sum(parts: list[Alone]) -> Alone:
    """Several parts in one."""
    total = Alone(frozenset(), {}, {}, {})
    for part in parts:
        total = Alone(
            total.prompts | part.prompts,
            _added(total.teachers, part.teachers),
            _added(total.licences, part.licences),
            _added(total.verdicts, part.verdicts),
        )
    return total


def _added(a: dict[_Key, int], b: dict[_Key, int]) -> dict[_Key, int]:
    return a | {key: a.get(key, 0) + n for key, n in b.items()}


def _elsewhere(pairs: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Those whose two paths are not the same file."""
    return [(path, target) for path, target in pairs if path.resolve() != target.resolve()]


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.copyfile(path, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _track(targets: list[Path]) -> None:
    """`dvc add`."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    # It would say on standard output what to type next, of which it knows a part.
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        with Repo() as repo:
            repo.add([str(target) for target in targets])
    except DvcException as e:
        names = targets[0] if len(targets) == 1 else f"{targets[0]} and {len(targets) - 1} more"
        raise SourceError(f"DVC does not take {names}: {error_line(e)}; nothing was changed") from e

"""`stepsift add`: a source file, its `.dvc` file and its rule, all three or none."""

import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from stepsift import params
from stepsift.core.disk import file_md5
from stepsift.core.errors import SourceError
from stepsift.core.text import error_line
from stepsift.ingest.files import find as files
from stepsift.sources.look import Alone, Look, read_alone, read_in_pool
from stepsift.sources.place import all_or_nothing, dvc_file_of, next_commands, rewrite
from stepsift.sources.rules import Rule, as_rule, one_line, with_rule, without_rule


@dataclass(frozen=True)
class Addition:
    """A file that was checked and may be added."""

    file: Path
    target: Path
    """Where it will lie below the sources folder; `file` itself where it lies there already."""
    params_file: Path
    rule: Rule | None
    """None where the file itself says all."""
    params_text: str
    """params.yaml as it will be."""
    look: Look

    def lines(self) -> list[str]:
        """What would be read, and what would be written."""
        rule = f"- {one_line(self.rule)}" if self.rule else "none is needed"
        return [*self.look.lines(), f"rule        {rule}", f"place       {self.target} and {dvc_file_of(self.target)}"]

    def carry_out(self) -> list[str]:
        """Write all of it, or nothing where any of it fails; returns the commands to type next.

        Raises SourceError where DVC does not take the file.
        """
        dvc_file = dvc_file_of(self.target)
        in_place = self.file.resolve() == self.target.resolve()
        with all_or_nothing([self.params_file, dvc_file] + ([] if in_place else [self.target])):
            if not in_place:
                self.target.parent.mkdir(parents=True, exist_ok=True)
                part = self.target.with_name(f".{self.target.name}.part")
                try:
                    shutil.copyfile(self.file, part)
                    part.replace(self.target)
                finally:
                    part.unlink(missing_ok=True)
            rewrite(self.params_file, self.params_text)
            # Last: where DVC is told to stage what it writes, nothing that fails afterwards has to be unstaged.
            _track(self.target)
        return next_commands(f"Add {self.target.name}", [dvc_file, *([self.params_file] if self.rule else [])])


def plan_addition(
    file: Path,
    sources: Path,
    params_file: Path,
    teacher: str | None = None,
    layout: params.Layout | None = None,
    licence: str | None = None,
    name: str | None = None,
) -> Addition:
    """Check a file as a part of the pool below `sources`.

    It will be named after `name`, else its teacher, else itself. Raises SourceError where it cannot be read, lies there
    already, has the name of another file, or holds rows of several teachers while `teacher` names one; ParamsError
    where params.yaml cannot be edited.
    """
    settings = params.load(params_file).ingest
    source = _source_file(file, sources, name or (_slug(teacher) if teacher else None))
    others = _others(source, sources)
    target = sources / source.name
    base = files.rule_for(source.name, settings)
    asked = base.model_copy(update={"match": source.name} | ({"layout": layout} if layout else {}))
    alone = read_alone(source, settings.model_copy(update={"files": (asked, *settings.files)}))
    rule = _completed(asked, alone, source, teacher, licence)
    same = rule.model_copy(update={"match": base.match}) == base
    text = params_file.read_bytes().decode()
    if not same:
        text = with_rule(without_rule(text, source.name), as_rule(rule))
    look = _looked(source, alone, others, text)
    return Addition(file, target, params_file, None if same else as_rule(rule), text, look)


def _source_file(file: Path, sources: Path, name: str | None) -> files.SourceFile:
    """The file as it will lie below `sources`; one that lies there stays where it is."""
    if not file.is_file():
        raise SourceError(f"there is no file {file}; name a file of traces")
    suffix = next((s for s in files.SUFFIXES if file.name.lower().endswith(s)), None)
    if suffix is None:
        raise SourceError(f"{file} is of no kind that is read; name one of these: {', '.join(files.SUFFIXES)}")
    if file.resolve().is_relative_to(sources.resolve()):
        return files.SourceFile(file, file.resolve().relative_to(sources.resolve()).as_posix(), suffix)
    stem = name or file.name[: -len(suffix)]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", stem):
        raise SourceError(f"the file would be named '{stem}{suffix}'; give it a --name of letters, digits and . _ + -")
    return files.SourceFile(file, stem + suffix, suffix)


def _others(source: files.SourceFile, sources: Path) -> list[files.SourceFile]:
    """All other files of the pool; raise SourceError where this one cannot stand beside them."""
    target, whole = sources / source.name, sources.with_name(f"{sources.name}.dvc")
    if whole.exists():
        raise SourceError(
            f"{whole} holds the whole folder, which would conflict in every merge; run 'dvc remove {whole}', and "
            f"'stepsift add' with each file below {sources}"
        )
    if dvc_file_of(target).exists():
        raise SourceError(
            f"{target} was added already ({dvc_file_of(target)}); see 'stepsift remove', or give a --name"
        )
    if target.exists() and not target.samefile(source.path):
        raise SourceError(f"there is a file {target} with other content; give this one another --name")
    try:
        found = [f for f in files.find(sources)[0] if f.name != source.name]
    except SourceError:  # the first file of a pool
        return []
    size = source.path.stat().st_size
    for file in found:
        if file.path.stat().st_size == size and file_md5(file.path) == file_md5(source.path):
            raise SourceError(f"{source.path} is there already, as {file.path}; nothing is to be added")
    return found


def _completed(
    rule: params.FileRule, alone: Alone, source: files.SourceFile, teacher: str | None, licence: str | None
) -> params.FileRule:
    """The rule with the teacher and licence that were asked for, where the rows do not say just that."""
    update = {}
    if teacher and set(alone.teachers) != {teacher}:
        if len(alone.teachers) > 1:
            names = ", ".join(sorted(alone.teachers)[:5])
            raise SourceError(
                f"{source.path} holds rows of {len(alone.teachers)} teachers ({names}); leave out "
                f"--teacher, which would call them all {teacher}"
            )
        update["teacher"] = teacher
    if licence and set(alone.licences) != {licence}:
        update["licence"] = licence
    return rule.model_copy(update=update)


def _looked(source: files.SourceFile, alone: Alone, others: list[files.SourceFile], text: str) -> Look:
    """The file with the settings as they will be; its teachers and licences are those of the rule."""
    settings = params.parse(yaml.safe_load(text)).ingest
    rule = files.rule_for(source.name, settings)
    teachers = {rule.teacher: sum(alone.teachers.values())} if rule.teacher else alone.teachers
    licences: dict[str | None, int] = {}
    for licence, count in alone.licences.items():
        licences[licence or rule.licence] = licences.get(licence or rule.licence, 0) + count
    told = Alone(alone.prompts, teachers, licences, alone.verdicts)
    return read_in_pool(source, told, others, settings)


def _track(target: Path) -> None:
    """`dvc add`."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    # It would say on standard output what to type next, of which it knows a part.
    logging.getLogger("dvc").setLevel(logging.WARNING)
    try:
        with Repo() as repo:
            repo.add(str(target))
    except DvcException as e:
        raise SourceError(f"DVC does not take {target}: {error_line(e)}; nothing was changed") from e


def _slug(teacher: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", teacher).strip("-.")

"""Whose scores they are: student and numerics, which no two scores in one column may differ in."""

from dataclasses import dataclass

from stepsift import params, student
from stepsift.score.cache.scores import Numerics
from stepsift.score.forward.numerics import describe_numerics
from stepsift.score.forward.own import decoder_used


@dataclass(frozen=True)
class Identity:
    """Whose scores they are: the student's fingerprint and `numerics`. Those of two meet by step, not in one column."""

    student: str
    numerics: Numerics

    def as_json(self) -> dict[str, object]:
        """For a file beside the scores."""
        return {"student": self.student, "numerics": self.numerics}


def of_student(settings: params.Score, n_parameters: int | None) -> params.Score:
    """The settings with what 'auto' means for a student of so many parameters, None where its files do not tell.

    Small layers are torch's own library's on every processor: on AMD's, oneDNN takes 1.1 to 2 times as long for them.
    """
    if settings.products == "auto" and n_parameters is not None and n_parameters < student.SMALL_PARAMETERS:
        return settings.model_copy(update={"products": "native"})
    return settings


def identify(student_settings: params.Student, settings: params.Score) -> Identity:
    """Whose scores these settings give on this machine; raises StudentError if there is no student or no device."""
    files = student.locate(student_settings)
    device = student.pick_device(settings.device)
    # Of the files alone, as who asks for an identity often loads no student.
    decoder = None if settings.decoder == "model" else decoder_used(student.load_config(files), settings, device)
    settings = of_student(settings, student.count_parameters(files))
    return Identity(student.fingerprint(files), describe_numerics(settings, device, decoder))

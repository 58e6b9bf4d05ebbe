"""Whose scores they are: student and numerics, which no two scores in one column may differ in."""

from dataclasses import dataclass

from stepsift import params, student
from stepsift.score.cache.scores import Numerics
from stepsift.score.forward.numerics import describe_numerics, of_student
from stepsift.score.forward.own import decoder_used


@dataclass(frozen=True)
class Identity:
    """Whose scores they are: the student's fingerprint and `numerics`. Those of two meet by step, not in one column."""

    student: str
    numerics: Numerics

    def as_json(self) -> dict[str, object]:
        """For a file beside the scores."""
        return {"student": self.student, "numerics": self.numerics}


def identify(student_settings: params.Student, settings: params.Score) -> Identity:
    """Whose scores these settings give on this machine; raises StudentError if there is no student or no device."""
    files = student.locate(student_settings)
    device = student.pick_device(settings.device)
    # Of the files alone, as who asks for an identity often loads no student.
    decoder = None if settings.decoder == "model" else decoder_used(student.load_config(files), settings, device)
    settings = of_student(settings, student.count_parameters(files))
    return Identity(student.fingerprint(files), describe_numerics(settings, device, decoder))

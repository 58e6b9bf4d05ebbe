"""stepsift: curate reasoning-distillation data for one student by Local Average Log Probability (LALP)."""

__version__ = "0.1.0"

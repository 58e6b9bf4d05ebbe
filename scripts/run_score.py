"""The command of stage score: run it where this machine's settings say (docs/CONTAINER.md)."""

from stepsift.container import launch
from stepsift.core import console

if __name__ == "__main__":
    console.run(lambda: launch.run("stages/score.py"))

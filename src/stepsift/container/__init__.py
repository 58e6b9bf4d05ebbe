"""Where the stages score and train run: on the machine itself, or in a container of docker or podman.

That is a setting of the machine (`machine.py`), never of the pipeline: a stage's command, and with it the key of DVC's
run cache, is the same everywhere. `launch.py` starts a stage in the right place, `image.py` builds the image.
"""

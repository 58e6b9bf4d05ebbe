"""Where score and train run: settings of the machine to the engine's command line; what is said when one lacks."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from stepsift.container import image, inside, launch
from stepsift.container.command import Place, engine_command, handed_on, outermost
from stepsift.container.machine import ContainerError, Machine, load, machine_file
from stepsift.core.finding import Finding

ROOT = Path(__file__).resolve().parents[2]
REPO = Path("/work space/repo")
PLACE = Place(REPO, (Path("/cache/dvc"), REPO / ".git"), Path("/home/u/hf"), 1000, 1001)


def command(machine: Machine, place: Place = PLACE, names: tuple[str, ...] = ()) -> list[str]:
    return engine_command(machine, place, "stepsift:cpu-1", names, {"STEPSIFT_GIT_COMMIT": "abc"})


def test_the_whole_command_of_docker():
    assert command(
        Machine(engine="docker"), names=("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PATH", "PYTHONPATH", "HOME")
    ) == [
        *("docker", "run", "--rm", "--init", "--pull=never", "--network=host", "--shm-size=8g"),
        *("--workdir=/work space/repo", "--user=1000:1001"),
        "--mount=type=bind,source=/cache/dvc,target=/cache/dvc",
        "--mount=type=bind,source=/home/u/hf,target=/home/u/hf",
        "--mount=type=bind,source=/work space/repo,target=/work space/repo",
        "--env=HF_TOKEN",
        *("--env=HOME=/tmp/home", "--env=HF_HOME=/home/u/hf", "--env=PYTHONPATH=/work space/repo/src"),
        *("--env=STEPSIFT_GIT_COMMIT=abc", "stepsift:cpu-1"),
    ]


def test_gpus_of_docker_and_of_podman():
    assert "--gpus=all" in command(Machine(engine="docker", gpus=True))
    podman = command(Machine(engine="podman", gpus=True))
    assert "--device=nvidia.com/gpu=all" in podman
    assert not [w for w in podman if w.startswith("--gpus")]
    assert not [w for w in command(Machine(engine="podman")) if "gpu" in w]


def test_only_a_rootless_podman_keeps_the_id():
    root = Place(REPO, (), Path("/hf"), 0, 0)
    assert "--userns=keep-id" in command(Machine(engine="podman"))
    assert "--userns=keep-id" not in command(Machine(engine="podman"), root)
    assert "--userns=keep-id" not in command(Machine(engine="docker"))
    assert "--user=0:0" in command(Machine(engine="podman"), root)


def test_no_terminal_is_asked_for():
    assert not {"-t", "-i", "-it", "--tty", "--interactive"} & set(command(Machine(engine="docker")))


def test_variables_that_are_handed_on():
    for name in ("MLFLOW_TRACKING_TOKEN", "STEPSIFT_CACHE", "DVC_STAGE", "HF_TOKEN", "OMP_NUM_THREADS", "HTTPS_PROXY"):
        assert handed_on(name)
    for name in ("PATH", "LD_LIBRARY_PATH", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "VIRTUAL_ENV"):
        assert not handed_on(name)


def test_a_folder_below_another_is_not_mounted_again():
    given = [Path(p) for p in ("/b/c/d", "/a", "/b/c", "/a", "/bc")]
    assert outermost(given) == [Path("/a"), Path("/b/c"), Path("/bc")]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("STEPSIFT_CACHE", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    path = machine_file()
    path.parent.mkdir(parents=True)
    assert path == tmp_path / "config/stepsift/machine.yaml"
    return path


def test_settings_and_their_defaults(config: Path):
    assert load(config).engine == "host"
    config.write_text("engine: podman\ngpus: true\nshm_size: 512m\nmounts: [/data]\n")
    assert load(config) == Machine(engine="podman", gpus=True, shm_size="512m", mounts=("/data",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("engine: lxc", "engine"),
        ("gpu: true", "gpu: Extra"),
        ("shm_size: much", "shm_size"),
        ("mounts: [data]", "'data' must be an absolute path"),
        ("mounts: ['/a,b']", "without a comma"),
        ("{", "cannot be read as YAML"),
        ("[1]", "the file"),
    ],
)
def test_wrong_settings_name_file_and_key(config: Path, text: str, said: str):
    config.write_text(text)
    with pytest.raises(ContainerError) as e:
        load(config)
    assert str(config) in str(e.value)
    assert said in str(e.value)


def fake_engine(folder: Path, name: str, body: str) -> None:
    """A program in PATH that takes the engine's place."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def test_a_missing_engine_is_said(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContainerError, match="no podman is in PATH; install it or set host"):
        image.image_digest(Machine(engine="podman"), ROOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("Error: No such image: stepsift:cpu", "build it: make image ENGINE=docker TARGET=cuda"),
        ("Error: stepsift: image not known", "build it: make image ENGINE=docker TARGET=cuda"),
        ("Cannot connect to the Docker daemon at x", r"does not answer \(Cannot connect .*\); start it"),
        ("", r"does not answer \(no message\)"),
    ],
)
def test_no_image_and_no_daemon_are_told_apart(
    config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, said: str
):
    fake_engine(tmp_path / "bin", "docker", f"echo '{stderr}' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(ContainerError, match=said):
        image.image_digest(Machine(engine="docker", target="cuda"), ROOT)


def test_the_image_is_named_by_what_it_is_made_of(tmp_path: Path):
    for name in image.INGREDIENTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("a\n")
    names = [image.image_name(tmp_path, "cpu")]
    assert names[0].startswith("stepsift:cpu-")
    for name in image.INGREDIENTS:
        (tmp_path / name).write_text("b\n")
        names.append(image.image_name(tmp_path, "cpu"))
    assert len(set(names)) == 1 + len(image.INGREDIENTS)
    (tmp_path / "requirements/lock.txt").unlink()
    with pytest.raises(ContainerError, match=r"has no requirements/lock\.txt, of which"):
        image.image_name(tmp_path, "cpu")


@pytest.mark.slow
def test_what_check_says(config: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    assert image.check_machine(ROOT) == Finding(["machine     score and train run on this machine itself"])
    config.write_text("engine: podman\n")
    fake_engine(tmp_path / "bin", "podman", "echo sha256:0123456789abcdef")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    there = image.check_machine(ROOT)
    assert "run in podman with no GPU: stepsift:cpu-" in there.lines[0]
    assert not there.problems
    config.write_text("engine: lxc\n")
    wrong = image.check_machine(ROOT)
    assert not wrong.lines
    assert len(wrong.problems) == 1


def start(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start the stage score in a folder that looks like a repository."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables
    script = [sys.executable, "-P", "-m", "stepsift.container.launch", "score", *arguments]
    return subprocess.run(script, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def repo(tmp_path: Path, config: Path) -> Path:
    repo = tmp_path / "repo"
    (repo / "stages").mkdir(parents=True)
    (repo / "stages/score.py").write_text(
        "import os, sys\nprint('host', os.getpid(), sys.argv[1:])\nraise SystemExit(7)\n"
    )
    for name in image.INGREDIENTS:
        (repo / name).parent.mkdir(exist_ok=True)
        (repo / name).write_text("a\n")
    return repo


def test_what_a_stage_needs_beyond_the_repository_is_mounted(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    answers = {("git", "rev-parse", "--git-common-dir"): str(tmp_path / "git")}
    answers[(sys.executable, "-m", "dvc", "cache", "dir")] = str(tmp_path / "dvc")
    monkeypatch.setattr(launch, "_said", lambda repo, *command: answers[command])
    for variable in ("HF_HUB_CACHE", "STEPSIFT_CACHE", "DVC_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for folder in ("git", "dvc"):
        (tmp_path / folder).mkdir()
    student = tmp_path / "student"
    with pytest.raises(ContainerError) as e:
        launch.surroundings(Machine(engine="docker", mounts=(str(student), str(tmp_path / "dvc"))), tmp_path)
    assert str(e.value) == f"mounts in {config} names {student}, which is not there; make or remove it"
    student.mkdir()
    place = launch.surroundings(Machine(engine="docker", mounts=(str(student),)), tmp_path)
    assert place.folders == tuple(tmp_path / name for name in ("dvc", "git", "hf", "student"))
    assert (place.repo, place.hf_home) == (tmp_path, tmp_path / "hf") and place.hf_home.is_dir()


@pytest.mark.parametrize("engine", ["host", "docker"])
def test_a_stage_takes_the_place_of_this_process(engine: str, config: Path, monkeypatch: pytest.MonkeyPatch):
    """The same as the slow tests below, without a process."""
    config.write_text(f"engine: {engine}\ngpus: true\n")
    became: list[list[str]] = []

    def become(file: str, words: list[str]) -> None:
        became.append(words)
        raise SystemExit

    monkeypatch.setattr(os, "execv", become)
    monkeypatch.setattr(os, "execvp", become)
    monkeypatch.setattr(launch, "image_digest", lambda *_: "sha256:1")
    monkeypatch.setattr(launch, "image_name", lambda *_: "stepsift:cpu-1")
    monkeypatch.setattr(launch, "git_variables", lambda: {"STEPSIFT_GIT_COMMIT": "abc"})
    monkeypatch.setattr(launch, "surroundings", lambda *_: PLACE)
    monkeypatch.setattr(sys, "argv", ["launch", "train", "a b"])
    with pytest.raises(SystemExit):
        launch.main()
    [words] = became
    if engine == "host":
        assert words == [sys.executable, "-P", "stages/train.py", "a b"]
    else:
        assert words[:2] == ["docker", "run"]
        assert {"--env=STEPSIFT_IMAGE_DIGEST=sha256:1", "--env=STEPSIFT_GIT_COMMIT=abc"} <= set(words)
        inside_it = ["python", "-P", "-m", "stepsift.container.inside", "stages/train.py", "a b"]
        assert words[-7:] == ["stepsift:cpu-1", *inside_it]


@pytest.mark.parametrize("cuda", [None, "13.0"])
def test_without_a_visible_gpu_the_kind_of_build_is_named(cuda: str | None, monkeypatch: pytest.MonkeyPatch):
    torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False), version=SimpleNamespace(cuda=cuda))
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(ContainerError, match="no GPU is visible in the container") as e:
        inside.require_gpu()
    assert ("is a build without CUDA (set target: cuda)" in str(e.value)) == (cuda is None)
    torch.cuda.is_available = lambda: True
    inside.require_gpu()


@pytest.mark.slow
def test_on_the_host_the_script_takes_over(repo: Path):
    done = start(repo, "a b", "c")
    assert done.returncode == 7, done.stderr
    assert done.stdout.endswith("['a b', 'c']\n")


@pytest.mark.slow
def test_in_a_container_the_engine_takes_over(repo: Path, config: Path, tmp_path: Path):
    config.write_text(f"engine: podman\ngpus: true\nmounts: [{tmp_path}/student]\n")
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    fake_engine(
        tmp_path / "bin", "podman", '[ "$1" = image ] && { echo sha256:12; exit; }\nprintf "%s\\n" "$@"; exit 9'
    )
    refused = start(repo, PATH=path)
    assert refused.returncode == 1
    assert f"{tmp_path}/student, which is not there" in refused.stderr
    (tmp_path / "student").mkdir()
    done = start(repo, "a b", PATH=path, STEPSIFT_CACHE=str(tmp_path / "side"))
    words = done.stdout.splitlines()
    assert done.returncode == 9, done.stderr
    assert words[-6:] == ["python", "-P", "-m", "stepsift.container.inside", "stages/score.py", "a b"]
    assert words[-7] == image.image_name(repo, "cpu")
    assert "--env=STEPSIFT_IMAGE_DIGEST=sha256:12" in words
    for folder in ("repo", "student", "side", "hf"):
        assert f"--mount=type=bind,source={tmp_path / folder},target={tmp_path / folder}" in words
    assert (tmp_path / "side").is_dir()


@pytest.mark.slow
def test_a_worktree_and_a_cache_elsewhere_are_mounted(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def ok(folder: Path, *words: str) -> None:
        subprocess.run(words, cwd=folder, check=True, capture_output=True)

    ok(repo, "git", "init", "-q")
    ok(repo, sys.executable, "-m", "dvc", "init", "-q")
    (tmp_path / "cache").mkdir()
    ok(repo, sys.executable, "-m", "dvc", "cache", "dir", str(tmp_path / "cache"))
    ok(repo, "git", "add", "-A")
    ok(repo, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "x")
    ok(repo, "git", "worktree", "add", "-q", str(tmp_path / "tree"))
    place = launch.surroundings(Machine(), tmp_path / "tree")
    assert repo / ".git" in place.folders
    assert tmp_path / "cache" in place.folders
    monkeypatch.chdir(tmp_path / "tree")
    clean = launch.git_variables()
    assert len(clean["STEPSIFT_GIT_COMMIT"]) == 40
    assert clean["STEPSIFT_GIT_DIRTY"] == "false"
    (tmp_path / "tree/Dockerfile").write_text("changed\n")
    assert launch.git_variables()["STEPSIFT_GIT_DIRTY"] == "true"


@pytest.mark.slow
def test_a_missing_gpu_stops_the_stage(monkeypatch: pytest.MonkeyPatch):
    import torch

    became = []
    monkeypatch.setattr(os, "execv", lambda _, words: became.append(words[1:]))
    monkeypatch.setattr(sys, "argv", ["inside", "stages/score.py", "a b"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ContainerError, match="no GPU is visible in the container"):
        inside.main()
    assert not became
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    inside.main()
    assert became == [["-P", "stages/score.py", "a b"]]


@pytest.mark.slow
def test_building_names_the_image_and_notes_its_digest(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    fake_engine(tmp_path / "bin", "docker", '[ "$1" = image ] && { echo sha256:12; exit; }\necho "$@"')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(repo)
    monkeypatch.setattr(sys, "argv", ["image", "docker", "cuda", "BASE=x:1"])
    image.main()
    name = image.image_name(repo, "cuda")
    assert f"build --target cuda --tag {name} --build-arg BASE=x:1 {repo}\n" in capfd.readouterr().out
    assert (repo / ".stepsift/image-cuda.txt").read_text() == f"{name} sha256:12\n"
    fake_engine(tmp_path / "bin", "docker", "exit 3")
    with pytest.raises(ContainerError, match="exit code 3"):
        image.main()


@pytest.mark.slow
def test_a_machines_own_image_is_built_where_it_is_not_there(
    repo: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(repo)
    monkeypatch.setattr(sys, "argv", ["image"])
    built = tmp_path / "built"
    build = f'[ "$1" = build ] && {{ echo "$@"; touch {built}; exit; }}'
    inspect = f"[ -f {built} ] && {{ echo sha256:12; exit; }}\necho No such image >&2; exit 1"
    fake_engine(tmp_path / "bin", "podman", f"{build}\n{inspect}")
    image.main()
    assert "no image is needed" in capfd.readouterr().out
    assert not built.exists()
    config.write_text("engine: podman\ntarget: cuda\n")
    image.main()
    name = image.image_name(repo, "cuda")
    assert f"build --target cuda --tag {name} {repo}\n" in capfd.readouterr().out
    built.write_text("it is not built again")
    image.main()
    assert capfd.readouterr().out == f"{name} is there: sha256:12\n"
    # An engine that does not answer is no reason to build.
    fake_engine(tmp_path / "bin", "podman", "echo cannot connect >&2; exit 125")
    with pytest.raises(ContainerError, match="podman does not answer"):
        image.main()


def test_caches_of_the_hub_are_mounted_wherever_they_are_named(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(launch, "_said", lambda *_: "")  # what DVC and git say is not asked here
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    place = launch.surroundings(Machine(), repo)
    assert place.hf_home == tmp_path / "hf"
    assert {tmp_path / "hf", tmp_path / "hub"} <= set(place.folders)
    monkeypatch.delenv("HF_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert launch.surroundings(Machine(), repo).hf_home == tmp_path / "xdg/huggingface"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert launch.surroundings(Machine(), repo).hf_home == tmp_path / "home/.cache/huggingface"


@pytest.mark.parametrize("stage", ["score", "train"])
def test_the_pipeline_knows_nothing_of_engines_and_all_of_the_image(stage: str):
    found = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    assert found["cmd"].split()[:3] == ["python", "-P", "-m"] and found["cmd"].split()[3:5] == [
        "stepsift.container.launch",
        stage,
    ]
    assert set(image.INGREDIENTS) - {"scripts/check_image.py"} <= set(found["deps"])
    assert f"stages/{stage}.py" in found["deps"]
    assert (ROOT / f"stages/{stage}.py").is_file() and stage in launch.STAGES


def test_nothing_but_the_ingredients_is_sent_to_the_engine():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert [w for w in lines if w and not w.startswith("#")] == ["*", *(f"!{n}" for n in image.INGREDIENTS[1:])]

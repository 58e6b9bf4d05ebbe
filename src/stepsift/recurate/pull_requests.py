"""Pull requests of `stepsift recurate`, by GitHub's client `gh`."""

import subprocess
from pathlib import Path

from stepsift.recurate.commits import BRANCHES, fetch, output

_OURS = '.[] | select(.isCrossRepository | not) | "\\(.number) \\(.headRefName)"'
"""Those of forks are left out: anybody may name a branch of a fork as a proposal is named."""


def propose(branch: str, base: str, title: str, text: Path, remote: str) -> list[str]:
    """Open a pull request or renew the one that is open, and close what it replaces; a line on each that was touched.

    Replaced are proposals for the same base that rest on this commit or one before it, unless somebody worked on them:
    their dvc.lock describes a state that is no more. Raises RecurationError where `gh` fails.
    """
    # Somebody may have worked on a proposal while this one was made.
    fetch(remote)
    known = ("--json", "number,headRefName,isCrossRepository", "--jq", _OURS)
    listed = output("gh", "pr", "list", "--base", base, "--state", "open", "--limit", "100", *known)
    numbers = {head: number for number, head in map(str.split, listed.splitlines())}
    if number := numbers.get(branch):
        # `gh pr edit` asks for projects and teams too, which a workflow's token may not read (cli/cli issue 6274).
        to = f"repos/{{owner}}/{{repo}}/pulls/{number}"
        output("gh", "api", "--silent", "--method", "PATCH", to, "-f", f"title={title}", "-F", f"body=@{text}")
        lines = [f"renewed the text of pull request {number}"]
    else:
        what = ("--title", title, "--body-file", str(text))
        lines = [f"opened {output('gh', 'pr', 'create', '--head', branch, '--base', base, *what)}"]
    for head, number in numbers.items():
        if head.startswith(f"{BRANCHES}/") and head != branch and _rests_before(f"refs/remotes/{remote}/{head}"):
            output(
                "gh",
                "pr",
                "close",
                number,
                "--comment",
                f"`{branch}` replaces it: it rests on the same commit or a later one.",
            )
            lines.append(f"closed pull request {number}, which it replaces")
    return lines


def _rests_before(proposal: str) -> bool:
    """Whether a proposal is one commit on what HEAD holds; not where the branch is gone or has further commits."""
    command = ["git", "merge-base", "--is-ancestor", f"{proposal}^", "HEAD"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0

"""YAML of anybody, read in bounded time and memory: every YAML file that stepsift reads is read here.

An alias costs a file six letters and stands for all that its anchor holds, so that nine lines can stand for a billion
values; a pipe in a file's place never ends. Both are errors of YAML or of the file, as any other.
"""

from pathlib import Path
from typing import Any

import yaml

from stepsift.core import disk

MOST_BYTES = 2**19
"""Half a megabyte takes seconds to read; a dvc.lock may have more, and is read as text."""
MOST_NODES = 100_000
"""Values that a document may stand for, each alias counted as what it stands for."""


def load(path: Path, loader: type[yaml.SafeLoader] = yaml.SafeLoader, most_bytes: int = MOST_BYTES) -> Any:
    """What a YAML file holds.

    Raises OSError where it cannot be read, is no regular file or too large; ValueError where it is not UTF-8;
    yaml.YAMLError where it is no YAML, holds a value that is none of its kind, is nested too deeply, or its aliases
    stand for more than MOST_NODES values.
    """
    return loads(disk.read_regular(path, most_bytes).decode("utf-8"), loader)


def loads(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """What a YAML text holds; raises yaml.YAMLError as `load` does."""
    made = loader(text)
    try:
        node = made.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return made.construct_document(node)
    except RecursionError:
        raise yaml.YAMLError("it is nested too deeply") from None
    except ValueError as e:  # a date such as 2025-13-01
        raise yaml.YAMLError(str(e)) from None
    except (LookupError, AttributeError, TypeError, OverflowError):  # PyYAML's own, of `!!bool maybe` and the like
        raise yaml.YAMLError("a value is none of the kind that its tag names") from None
    finally:
        made.dispose()


def _count(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """Values that a node stands for; `counted` holds those of nodes seen, None for those that this one lies in."""
    if node in counted:
        known = counted[node]
        if known is None:
            raise yaml.YAMLError(f"an alias stands within its own anchor, on line {node.start_mark.line + 1}")
        return known
    counted[node] = None
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    total = 1
    for part in parts:
        total += _count(part, counted)
        if total > MOST_NODES:
            raise yaml.YAMLError(
                f"its aliases stand for more than {MOST_NODES:,} values; write out what they stand for, or less of it"
            )
    counted[node] = total
    return total

"""What `stepsift check` warns of: columns that nobody reads, wordings and ids that keep prompts apart."""

from stepsift.core import text as text_of
from stepsift.ingest import identity
from stepsift.ingest.columns import FileColumns, column_warnings
from stepsift.ingest.counts import PoolCounts
from stepsift.ingest.database import Spool


def warnings_of(spool: Spool, pool: PoolCounts) -> list[str]:
    """One sentence for each thing that may be meant otherwise; the spool is resolved."""
    sentences = column_warnings(pool.columns)
    for name, file in pool.columns.items():
        sentences += _around(name, file, spool)
    if pool.torn_ids:
        stand = "stands" if pool.torn_ids == 1 else "stand"
        sentences.append(
            f"{text_of.count(pool.torn_ids, 'prompt id')} {stand} for prompts whose texts have nothing in common, as "
            "if two sets number their rows from 0; such ids join nothing, and prompts are joined by text alone"
        )
    if mixed := spool.mixed_systems():
        sentences.append(
            f"{mixed:,} of {text_of.count(pool.prompts, 'prompt')} were asked under different system prompts, or also "
            "without one: they get none, so that no answer stands under another teacher's; ingest.system: text makes "
            "each of them a prompt of its own"
        )
    return sentences


def _around(name: str, file: FileColumns, spool: Spool) -> list[str]:
    """What stands around all prompts of a file, where without it they would be prompts of others: at one end, or only
    where both are cut."""

    def met(wrapper: identity.Wrapper) -> int:
        return spool.knows(
            [identity.prompt_hash([{"role": "user", "content": w}], wrapper) for w in file.wordings.values()]
        )

    def sentence(words: str, without: str, n: int, rule: str) -> str:
        return (
            f"{name}: all prompts {words}; without {without} {n} of {len(file.wordings)} that were looked at are "
            f"prompts of other files: where it is no part of the question, put '{rule}' into its rule"
        )

    prefix, suffix = file.wrapper()
    ends = {"strip_prefixes": prefix, "strip_suffixes": suffix}
    cut = {key: f"{key}: [{text_of.yaml_text(text)}]" for key, text in ends.items()}
    sentences = []
    if prefix and (n := met(identity.Wrapper(prefixes=(prefix,)))):
        sentences.append(sentence(f"begin with {prefix!r}", "it", n, cut["strip_prefixes"]))
    if suffix and (n := met(identity.Wrapper(suffixes=(suffix,)))):
        sentences.append(sentence(f"end with {suffix!r}", "it", n, cut["strip_suffixes"]))
    both = prefix and suffix and not sentences
    if both and (n := met(identity.Wrapper(prefixes=(prefix,), suffixes=(suffix,)))):
        words = f"begin with {prefix!r} and end with {suffix!r}"
        sentences.append(sentence(words, "both", n, ", ".join(cut.values()).join("{}")))
    return sentences

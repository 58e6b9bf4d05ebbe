"""What `stepsift check` warns of: columns that nobody reads, wordings and ids that keep prompts apart."""

import json

from stepsift.core import text as text_of
from stepsift.ingest import identity
from stepsift.ingest.columns import trace_warnings
from stepsift.ingest.counts import PoolCounts
from stepsift.ingest.database import Spool


def warnings_of(spool: Spool, pool: PoolCounts) -> list[str]:
    """One sentence for each thing that may be meant otherwise; the spool is resolved."""
    sentences = trace_warnings(pool.columns)
    for name, file in pool.columns.items():
        prefix, suffix = file.wrapper()
        for text, key, place in ((prefix, "strip_prefixes", "begin"), (suffix, "strip_suffixes", "end")):
            cut = identity.Wrapper(prefixes=(text,)) if place == "begin" else identity.Wrapper(suffixes=(text,))
            bare = [identity.prompt_hash([{"role": "user", "content": w}], cut) for w in file.wordings.values()]
            met = spool.knows(bare) if text else 0
            if met:
                sentences.append(
                    f"{name}: all prompts {place} with {text!r}; without it {met} of {len(bare)} that were looked at "
                    "are prompts of other files: where it is no part of the question, put "
                    f"'{key}: [{json.dumps(text, ensure_ascii=False)}]' into its rule"
                )
    if pool.torn_ids:
        sentences.append(
            f"{pool.torn_ids} prompt ids stand for prompts whose texts have nothing in common, as where two sets "
            "number their rows from 0; such ids join nothing, and prompts are joined by text alone"
        )
    if mixed := spool.mixed_systems():
        sentences.append(
            f"{mixed:,} of {text_of.count(pool.prompts, 'prompt')} were asked under different system prompts, or also "
            "without one: they get none, so that no answer stands under another teacher's; ingest.system: text makes "
            "prompts of their own of them"
        )
    return sentences

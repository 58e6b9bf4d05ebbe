"""Traces that hold evaluation questions.

A run of words shared with a question drops the traces of a prompt, or the trace whose response holds it; so does a
message of the prompt that has the same words as a question. A run that more than a twentieth of a task's questions (and
more than ten) have in common is the wording of the task ("the following are multiple choice questions (with answers)
about ..."): a run that tells holds no word of it. Questions with fewer words of their own than a run are found by their
whole text alone, or by what is left of it without what all questions of the task begin and end with.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stepsift.select.filters.words import Places, Words, read_words, words_of
from stepsift.select.questions import Questions

COMMON_SHARE, COMMON_LEAST = 0.05, 10
"""A run in more than this share of a task's questions, and in more than so many, is the task's wording."""


@dataclass(frozen=True)
class Index:
    """What the questions look like: `runs` (hash, question) and `texts` (words joined by blanks, question).

    `question` numbers the rows of `names`, whose column `name` says task and number.
    """

    runs: pl.DataFrame
    texts: pl.DataFrame
    names: pl.DataFrame
    length: int

    def _named(self, hits: pl.DataFrame, detail: pl.Expr) -> pl.DataFrame:
        """Columns row and detail, by the first question of each row, from the columns row and question."""
        first = hits.group_by("row").agg(pl.col("question").min())
        return first.join(self.names, on="question").select("row", detail=detail).sort("row")

    def shared_runs(self, words: Words, where: str) -> pl.DataFrame:
        """Columns row (number of a text, UInt32) and detail of the texts that share a run with a question."""
        hashes, text = words.runs(self.length)
        runs = pl.DataFrame({"hash": hashes, "row": text}, schema={"hash": pl.UInt64, "row": pl.UInt32})
        hits = runs.join(self.runs, on="hash")
        return self._named(
            hits, pl.format("the {} shares {} words in a row with {}", pl.lit(where), pl.lit(self.length), "name")
        )

    def same_texts(self, texts: pl.Series) -> pl.DataFrame:
        """Columns row (UInt32) and detail of the texts that have the same words as a question."""
        words = texts.to_frame("text").select(words=words_of(texts).list.join(" ")).with_row_index("row")
        return self._named(words.join(self.texts, on="words"), pl.format("the prompt is {}", "name"))


def build_index(questions: Questions, length: int) -> Index:
    """An index of runs of `length` words."""
    rows = questions.rows.with_row_index("question")
    words = read_words(rows["text"])
    hashes, text = words.runs(length)
    runs = pl.DataFrame({"hash": hashes, "question": text}, schema={"hash": pl.UInt64, "question": pl.UInt32})
    common = pl.max_horizontal(pl.lit(COMMON_LEAST), pl.len().over("task") * COMMON_SHARE)
    runs = runs.join(rows.select("question", "task", common=common), on="question", maintain_order="left")
    is_wording = runs.select(pl.col("question").n_unique().over("task", "hash") > pl.col("common")).to_series()
    own = _free_of(is_wording.to_numpy(), words, text, length)
    telling = runs.filter(pl.Series(own)).group_by("hash").agg(pl.col("question").min())
    texts = pl.concat([rows.select("question", pl.col(c).alias("text")) for c in ("text", "core")]).drop_nulls()
    texts = texts.select("question", words=words_of(texts["text"]).list.join(" ")).filter(pl.col("words") != "")
    names = rows.select("question", name=pl.format("question {} of {}", "number", "task"))
    return Index(telling, texts, names, length)


def _free_of(wording: NDArray[np.bool_], words: Words, text: Places, length: int) -> NDArray[np.bool_]:
    """Which runs hold no word of a run that is `wording`; all are given in order, `text` being the text of each."""
    first = words.bounds[text] + np.arange(len(text)) - np.searchsorted(text, text)
    edges = np.zeros(len(words.hashes) + 1, np.int64)
    np.add.at(edges, first[wording], 1)
    np.add.at(edges, first[wording] + length, -1)
    covered = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.cumsum(edges[:-1]) > 0)])
    return covered[first + length] == covered[first]


def contaminated_prompts(prompts: pl.DataFrame, index: Index) -> pl.DataFrame:
    """Columns prompt_id and detail of the prompts (prompt_id, prompt) with a message that holds a question."""
    messages = prompts.select("prompt_id", text=pl.col("prompt").list.eval(pl.element().struct.field("content")))
    messages = messages.explode("text").drop_nulls().with_row_index("row")
    hits = [index.same_texts(messages["text"]), index.shared_runs(read_words(messages["text"]), "prompt")]
    return (
        pl.concat(hits)
        .join(messages.select("row", "prompt_id"), on="row", maintain_order="left")
        .unique("prompt_id", keep="first", maintain_order=True)
        .select("prompt_id", "detail")
    )


def contaminated(frame: pl.DataFrame, words: Words, index: Index) -> pl.DataFrame:
    """Columns trace_id and detail of the rows (trace_id, row, held_by_prompt) that are dropped.

    `words` are those of the responses, `row` numbers them; `held_by_prompt` is the detail that `contaminated_prompts`
    gave of the prompt, or null.
    """
    by_prompt = frame.select("trace_id", detail="held_by_prompt").drop_nulls()
    by_response = (
        index.shared_runs(words, "response")
        .join(frame.select("trace_id", "row"), on="row")
        .select("trace_id", "detail")
        .join(by_prompt, on="trace_id", how="anti")
    )
    return pl.concat([by_prompt, by_response])

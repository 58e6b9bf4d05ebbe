"""How families of models mark their reasoning: one table, for the code and for docs/OWN_TRACES.md.

Markers are matched whatever their case; those that look like `<x>` may also hold attributes or stand as `&lt;x&gt;`.
`ends` are the tokens that end a turn; what a serving engine leaves of them at the end of a response is taken off.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A way of writing reasoning.

    `opens` and `closes` are the markers around it; `answer` are markers around the answer (opening, closing), which are
    taken off where they begin it. `cut_off` says what reasoning looks like that never ended.
    """

    name: str
    opens: tuple[str, ...]
    closes: tuple[str, ...]
    cut_off: str
    answer: tuple[tuple[str, str], ...] = ()
    ends: tuple[str, ...] = ()


ANSWER = ("<answer>", "</answer>")
RESPONSE = ("<response>", "</response>")
SOLUTION = ("<solution>", "</solution>")
OUTPUT = ("<output>", "</output>")

THINK = Family(
    "R1, QwQ, Qwen 3, GLM, Phi 4, MiniMax, Nemotron, ERNIE, Hunyuan; Llama and ChatML fine-tunes",
    ("<think>",),
    ("</think>",),
    "`<think>` and no `</think>`",
    (ANSWER, RESPONSE, SOLUTION, ("<|begin_of_box|>", "<|end_of_box|>")),
    (
        *("<｜end▁of▁sentence｜>", "<|end▁of▁sentence|>", "<|im_end|>", "<|endoftext|>", "<|user|>", "<|observation|>"),
        *("<|end|>", "[e~[", "<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"),
    ),
)
"""The one form is this family's."""

TAGGED = (
    THINK,
    Family(
        "Marco-o1, EXAONE Deep",
        ("<thought>", "<thoughts>"),
        ("</thought>", "</thoughts>"),
        "`<thought>` and no `</thought>`",
        (OUTPUT, ANSWER),
        ("[|endofturn|]",),
    ),
    Family(
        "models that are prompted to think",
        ("<thinking>", "<antThinking>", "<scratchpad>"),
        ("</thinking>", "</antThinking>", "</scratchpad>"),
        "`<thinking>` and no `</thinking>`",
        (ANSWER, RESPONSE, OUTPUT),
    ),
    Family(
        "models trained on rewards, with tags of their recipes",
        (
            *("<reasoning>", "<reason>", "<thought_process>", "<reasoning_process>", "<thinking_process>"),
            *("<chain_of_thought>", "<cot>"),
        ),
        (
            *("</reasoning>", "</reason>", "</thought_process>", "</reasoning_process>", "</thinking_process>"),
            *("</chain_of_thought>", "</cot>"),
        ),
        "`<reasoning>` and no `</reasoning>`",
        (ANSWER, SOLUTION, ("<conclusion>", "</conclusion>"), ("<final_answer>", "</final_answer>")),
    ),
    Family(
        "Magistral, Ministral",
        ("[THINK]", "[THINKING]", "[REASONING]"),
        ("[/THINK]", "[/THINKING]", "[/REASONING]"),
        "`[THINK]` and no `[/THINK]`",
        (("[ANSWER]", "[/ANSWER]"),),
        ("</s>",),
    ),
    Family(
        "Kimi", ("◁think▷",), ("◁/think▷",), "`◁think▷` and no `◁/think▷`", (("◁answer▷", "◁/answer▷"),), ("[EOS]",)
    ),
    Family(
        "LongCat", ("<longcat_think>",), ("</longcat_think>",), "`<longcat_think>` and no `</longcat_think>`", (), ()
    ),
    Family("Seed", ("<seed:think>",), ("</seed:think>",), "`<seed:think>` and no `</seed:think>`", (), ("<seed:eos>",)),
    Family(
        "Command A",
        ("<|START_THINKING|>",),
        ("<|END_THINKING|>",),
        "`<|START_THINKING|>` and no `<|END_THINKING|>`",
        (("<|START_RESPONSE|>", "<|END_RESPONSE|>"), ("<|START_TEXT|>", "<|END_TEXT|>")),
        ("<|END_OF_TURN_TOKEN|>",),
    ),
    Family(
        "Gemma 4",
        ("<|channel>thought",),
        ("<channel|>",),
        "`<|channel>thought` and no `<channel|>`",
        (),
        ("<turn|>", "<eos>"),
    ),
    Family(
        "Gemma fine-tunes",
        ("<unused94>thought",),
        ("<unused95>",),
        "`<unused94>thought` and no `<unused95>`",
        (),
        ("<end_of_turn>",),
    ),
    Family(
        "OpenThinker, Sky-T1",
        ("<|begin_of_thought|>",),
        ("<|end_of_thought|>",),
        "`<|begin_of_thought|>` and no `<|end_of_thought|>`",
        (("<|begin_of_solution|>", "<|end_of_solution|>"),),
    ),
    Family(
        "s1",
        ("<|im_start|>think",),
        ("<|im_start|>answer",),
        "`<|im_start|>think` and no `<|im_start|>answer`",
    ),
    Family(
        "tags as special tokens",
        ("<|think|>", "<|thinking|>", "<|begin_of_thinking|>"),
        ("<|/think|>", "<|/thinking|>", "<|end_of_thinking|>"),
        "`<|think|>` and no `<|/think|>`",
        (("<|answer|>", "<|/answer|>"), ("<|begin_of_answer|>", "<|end_of_answer|>")),
    ),
    Family(
        "Apertus",
        ("<|inner_prefix|>",),
        ("<|inner_suffix|>",),
        "`<|inner_prefix|>` and no `<|inner_suffix|>`",
        (),
        ("<|assistant_end|>",),
    ),
    Family("Pangu", ("[unused16]",), ("[unused17]",), "`[unused16]` and no `[unused17]`", (), ("[unused10]",)),
    Family(
        "Apriel",
        ("Here are my reasoning steps:",),
        ("[BEGIN FINAL RESPONSE]",),
        "the sentence and no `[BEGIN FINAL RESPONSE]`",
        (),
        ("[END FINAL RESPONSE]",),
    ),
    Family(
        "Granite 3.2",
        ("Here is my thought process:", "Here's my thought process:"),
        ("Here is my response:", "Here's my response:"),
        "the first sentence and not the second",
        (),
        ("<|end_of_role|>",),
    ),
)
"""Families whose reasoning stands between two markers."""

TITLED = (
    Family(
        "HuatuoGPT-o1, and titles at a response's beginning like its",
        ("## Thinking", "**Thinking:**", "## Thought Process", "## Reasoning", "**Reasoning**"),
        ("## Final Response", "**Response:**", "## Final Answer", "## Answer", "**Answer**"),
        "`## Thinking` and no other heading of its level",
    ),
)
"""Families whose reasoning and answer have titles of Markdown (thinking/headings.py); each opening has the closing of
its place, among others."""

CHANNELS = (
    Family(
        "gpt-oss (harmony), also as turns with `channel`",
        ("<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>"),
        ("<|end|>",),
        "no message of the channel `final`",
        (("<|start|>assistant<|channel|>final<|message|>", "<|return|>"),),
        ("<|return|>", "<|call|>", "<|end|>"),
    ),
    Family(
        "gpt-oss without its special tokens",
        ("analysis", "commentary"),
        ("assistantfinal",),
        "`analysis` first, and no `assistantfinal`",
        (("assistantfinal", ""),),
    ),
)
"""Families that write messages, each to a channel (thinking/channels.py)."""

FAMILIES = (*TAGGED, *TITLED, *CHANNELS)

MORE_ENDS = (
    *("<|eot|>", "<|eos|>", "<|eom|>", "<eot>", "<|role_end|>", "<|end_of_sentence|>", "<|endofturn|>", "<|im_sep|>"),
    *("<|EOT|>", "<|stop|>", "<end_of_utterance>", "<pad>", "<|pad|>", "[PAD]", "<|finetune_right_pad_id|>"),
    *("<|vision_pad|>", "<reserved_107>", "<|hy_eos|>", "<|diff_marker|>", "<|fim_pad|>"),
)
"""Tokens that end a turn, or fill what follows it, of families that do not reason."""

NEXT_TURNS = (
    *("<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<｜User｜>", "<SPECIAL_11>", "<SPECIAL_12>"),
    *("<|start_header_id|>assistant<|end_header_id|>", "<|start_header_id|>user<|end_header_id|>"),
)
"""What begins the next turn, or (Nemotron) ends one, where a model was not stopped in time."""

ENDS = tuple(dict.fromkeys(t for ends in (*(f.ends for f in FAMILIES), MORE_ENDS, NEXT_TURNS) for t in ends))
"""Every token that ends a turn."""

STARTS = (
    *("<s>", "<bos>", "<|begin_of_text|>", "<|startoftext|>", "<｜begin▁of▁sentence｜>", "[BOS]", "<BOS_TOKEN>"),
    *("<|im_start|>assistant", "<|start_header_id|>assistant<|end_header_id|>", "<start_of_turn>model"),
    *("<|turn>model", "<｜Assistant｜>", "<|Assistant|>", "<|assistant|>", "[/INST]", "<|assistant_start|>"),
    *("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "<|start_of_role|>assistant<|end_of_role|>", "[|assistant|]"),
    *("<role>ASSISTANT</role>", "<seed:bos>assistant", "<|header_start|>assistant<|header_end|>"),
)
"""What opens a model's turn, where a source keeps it at the beginning of a response."""

"""Gold answers with responses that say more than their answer, right and wrong; all of our own making.

(gold answer, responses that are right, responses that are wrong)
"""

B = "\\boxed{%s}"

PAIRS_OF_STATEMENTS: list[tuple[str, list[str], list[str]]] = [
    # Remarks on other answers
    (
        "36",
        [
            B % "36" + "\n\nIf instead every second tile were blue, the answer would be 18.",
            B % "36" + "\n\nA common wrong answer is 18.",
            "The answer is 36.\n\nA frequent incorrect answer is 18.",
            "The answer is 36.\n\nSome people might say the answer is 18.",
            "**Answer: 36**\n\nRemark: without the last row the answer would be 18.",
            B % "18" + "\n\nHold on, wait: the answer is 36.",
        ],
        [
            B % "18" + "\n\nIf instead every second tile were blue, the answer would be 36.",
            B % "18" + "\n\nA common wrong answer is 36.",
            "The answer is 18.\n\nA frequent incorrect answer is 36.",
            "The answer is 18.\n\nSome people might say the answer is 36.",
            "**Answer: 18**\n\nRemark: without the last row the answer would be 36.",
            "The mistaken answer is 36.",
            "The naive answer is 36.\n\nHalving for symmetry gives 18.",
            "The expected answer is 36, but I find 18.",
            "The answer key has 36, and I get 18.",
        ],
    ),
    # Answers that are taken back
    (
        "9",
        ["The answer is 7. No wait, it is 9.", "The answer is 7.\n\nWait, that's wrong. It should be 9."],
        [
            "The answer is 9. No wait, it is 7.",
            "The answer is 9.\n\nWait, that's wrong. It should be 7.",
            B % "9" + "\n\nWait, I made a slip: it is 7.",
            "The answer is 9. Scratch that, it is 7.",
        ],
    ),
    # Checks, what is given, headings, and answers that break off or are none
    (
        "36",
        [
            "So y = 36.\n\nCheck: 36 / 4 + 1 = 10 ✓",
            "y = 36\n\nWe can verify this: 36 / 4 = 9, as it should be.",
            "There are **36** tiles.\n\n**Verification:**\n- 4 rows of 9\n- 9 + 9 + 18 = 36, less 0",
            "Let y be the number of tiles.\n\n- 36 tiles",
            "**Step 4:** 4 * 9 = 36",
            "Check the rows first: there are 4 of 9.\nSo there are 36 tiles.",
        ],
        [
            "There are **9** rows.\n\nCheck: 9 + 27 = 36 ✓",
            "There are 9 rows. To check: 9 * 4 = 36, which is the given number.",
            "So there are 9 rows.\n\n**Check:**\n9 * 4 gives the given number:\n9 * 4 = 36",
            "4 * 9 = 36. Then we have to add the border",
            "4 * 9 = 36\n\nNow we",
            "Tiles in all: 36\n\nNext, take the broken ones away:",
            "Let y = 36.\n\nThen",
            "y = 36,",
            "**Given:**\n- Tiles: 36\n- Colour: blue",
            "Given: 36 tiles",
            "I cannot answer this, as only 36 is given.",
            "It is unclear whether it is 36.",
            "Sadly the text lacks information. There are 36 tiles.\n\nPlease say how many are broken.",
        ],
    ),
    (
        "7",
        ["#### 7", "## 7", "**7. **"],
        ["**Step 7:**", "#### Step 7", "## 7. Summary", "This follows from Equation 7."],
    ),
    # Several numbers in one sentence
    (
        "12",
        [
            "He had 30 stamps and gave away 18, so he now has 12 stamps.",
            "Therefore, she needs 12 trays for the 96 rolls.",
            "The width is 12, since the perimeter is 40.",
            "The sum is 12, with a = 4 and b = 8.",
            "m = 12 (with k = 5).",
            "So Ada reads 12 pages in 3 days at this speed.",
            "It takes him 12 minutes longer to run 3 miles than to ride 5.",
            "In 4 days, he bakes 12 cakes.",
            "They plant 12 trees in all, 5 of Ann and 7 of Ben.",
            "To check her work she needs 12 minutes.",
        ],
        [
            "He starts with 12 stamps, loses 5, and has 7 left.",
            "She paid for 12 cards at $3 each, so she spent $36.",
            "In 12 days, he bakes 36 cakes.",
            "Since 12 friends split 48 nuts, each one eats 4.",
            "The 12 girls in 3 teams score 36 points.",
            "The width is 8, since the perimeter is 12.",
            "The sum is 23, with a = 11 and b = 12.",
            "The width is 5 and the length is 12.",
        ],
    ),
    ("(3, -1)", ["The vertex is $(3, -1)$, not $(-3, 1)$."], ["The vertex is $(-3, 1)$, not $(3, -1)$."]),
    # Words that make another number of one
    (
        "12",
        ["The answer is 12 times.", "The answer is a total of 12.", "The answer is 12 dollars."],
        [
            "The answer is 12 cubed.",
            "The answer is twice 12.",
            "The answer is a third of 12.",
            "The answer is the cube root of 12.",
            "The answer is a factor of 12.",
            "The answer is near 12.",
            "The answer is 12 choose 3.",
            "The answer is 12 divided by 3.",
            "The answer is 12% of 50, which makes 6.",
        ],
    ),
    # Denied in other languages
    (
        "25",
        ["Die Antwort ist 25.", "Ответ: 25", "答案是25。"],
        [
            "答案不是25。",
            "Die Antwort ist nicht 25.",
            "La respuesta no es 25.",
            "La réponse n'est pas 25.",
            "A resposta não é 25.",
            "La risposta non è 25.",
            "Ответ: не 25",
            "Ответ: 25 или 26",
            "答えは25ではありません。",
            "정답은 25가 아닙니다.",
        ],
    ),
    ("11", ["So he keeps 11 eggs of 24."], ["Of the boxes he sold 11 of the 24."]),
    # Options that are denied, under way, or named by others
    (
        "C",
        [
            "The answer is C. Many people pick B.",
            "What does not fit is (C).",
            "(A) is not possible, so it must be (C).",
            "The likeliest diagnosis is **C. Gout**.",
            "The answer is B. Wait, that's wrong: it is (C).",
            B % "C: gout",
        ],
        [
            "Now let us look at option C",
            "Next we consider option C:",
            "Option A is too small. Option B is too large.\n\nOption C:",
            "A) gout\nB) flu\nC)",
            "(C) is wrong.",
            "The answer is not (C).",
            "Hence option C is excluded.",
            "So option C fails.",
            "Answer: C is wrong, so A.",
            "A ✅\nB ❌\nC ❌",
            "The answer is C if the gas is cold; otherwise it is A.",
            "The correct answer is **B**. Most students pick C.",
            "The best answer is A. The second best answer is C.",
            "The answer is A.\n\nNever choose C.",
            "The answer is A.\n\nI was tempted to pick C.",
            "The likeliest diagnosis is not **C. Gout**.",
            B % "C: 5, D: 6",
            "不选C",
        ],
    ),
    (
        "D",
        [
            "La respuesta correcta es la opción D.",
            "La réponse est la D.",
            "Antwort D ist richtig.",
            "Правильный ответ — D.",
        ],
        ["La respuesta no es la D.", "Antwort D ist falsch."],
    ),
    # Several letters
    (
        "B, D, E",
        [
            "BDE",
            "**B, D, E**",
            "The right options are (B), (D), and (E).",
            "Options B, D, and E are correct.",
            B % "E, B, D",
        ],
        ["Options B and D are correct.", "BD", "Options B, D, and E are wrong.", "Options B, C, D, and E are correct."],
    ),
    # Nothing, and everything
    (
        "no solution",
        ["No solution exists for this system.", "Hence there are no real solutions.", "There is no valid solution."],
        [
            "y = 2, and there are no other solutions.",
            "The only root is y = 2; there are no further roots.",
            "There are no negative solutions.",
            "Hence, there are no extraneous solutions",
        ],
    ),
    (
        "infinitely many",
        ["There are infinitely many solutions.", "The system has infinitely many solutions."],
        ["There are not infinitely many solutions.", "There are many solutions.", "There is no solution."],
    ),
    (
        "diverges",
        ["The series diverges.", "So the integral diverges."],
        ["The series never diverges.", "It converges."],
    ),
    ("cannot be determined", ["The price cannot be determined."], ["The price can be determined."]),
    # Words that others say, that are denied, or that hold of something else
    (
        "Oslo",
        ["La capitale est Oslo.", "Die Hauptstadt ist Oslo.", "The capital and largest city is Oslo."],
        [
            "The answer is Bergen, but people think it is Oslo.",
            "Most people think it is Oslo.",
            "It can't be Oslo.",
            "The answer is unlikely to be Oslo.",
            "The wrong answer is Oslo.",
            "We do not know whether the capital is Oslo.",
            "The oldest town is Bergen, and the largest is Oslo.",
        ],
    ),
    ("The capital is Oslo.", ["Oslo", "The answer is Oslo."], ["Bergen", "The answer is Bergen."]),
    ("True", ["The claim is true.", "So it is **True**."], ["The claim is false. Its converse is true."]),
    ("Yes", ["Yes, because n is even."], ["Yes, if n is even; no otherwise.", "Yes, but only if n is even."]),
    ("No", ["The claim is false, so **No**."], ["The claim holds, so **Yes**."]),
    # Literals
    (
        "[4, 5]",
        ["The output will be:\n\n```\n[4, 5]\n```\n\nas both are kept."],
        ["['4', '5']", "[4, '5']", "[5, 4, None]"],
    ),
    ("(4, 5)", [B % "(4, 5)"], ["('4', '5')"]),
    ("[False, True]", ["[False, True]"], ["[0, 1]"]),
    # What only looks like a remark on others
    (
        "14",
        [
            "So she gave 14 wrong answers.",
            "If we do not choose the red one, there are 14 ways.",
            "One could choose 14 of these cards.",
            "So 14 people think that it will rain.",
        ],
        ["So she gave 14 wrong answers and 6 right ones."],
    ),
    (
        "16",
        [
            "The answer is 9? No, it's 16.",
            "The answer is 9. Actually, it is 16.",
            "The answer is 16. Actually, it is a square.",
        ],
        [
            "The answer is 16? No, it's 9.",
            "The answer is 16. Actually, it is 9.",
            "Problem: 16 cups",
            "They own 16 cups and need",
            "The answer is 16 more than 5.",
            "The answer is two less than 16.",
            "答案并非16。",
        ],
    ),
    ("E", ["It is (E)."], ["Let me consider (E).", "Option E may fit, but we have to check F."]),
    ("no solution", ["There is no solution."], ["It is false that there is no solution."]),
    ("18", ["The answer is 16. Hold on, it is 18."], ["The answer is 18. Hold on, that should be 16."]),
    ("12", ["The answer is 12."], ["The answer is four times 12.", "The answer is 4 times 12."]),
    ("B", ["(B) can be used"], ["(B) can be excluded.", "(B) must be rejected."]),
]

"""A second set of gold answers with responses that are right and wrong, from other fields; all of our own making.

(gold answer, responses that are right, responses that are wrong)
"""

B = "\\boxed{%s}"

MORE_PAIRS: list[tuple[str, list[str], list[str]]] = [
    # Greek letters and functions, however they are written
    (
        "\\frac{\\tau}{\\epsilon_0}",
        [B % "\\frac{\\tau}{\\varepsilon_0}", "So the field is\n\nτ/ε₀"],
        [B % "\\frac{\\epsilon_0}{\\tau}", "So the field is\n\nτ/ε₁"],
    ),
    ("\\cos^2 x", ["The derivative is\n\ncos²x", B % "\\cos^2(x)"], ["The derivative is\n\nsin²x"]),
    # A heading, and a list
    ("31", ["**Result:**\n* 31", "### Result\n- $31$", "**Answer:**\n* 31"], ["**Result:**\n* -31"]),
    # Literals of Python and of JSON
    ("{'a': True}", ["Output: {'a': True}"], ["Output: {'a': true}", 'Output: {"a": true}']),
    ('{"a": [true, null]}', ['Output: {"a":[true,null]}'], ['Output: {"a": [true, false]}']),
    # Dates, ranges and scores
    ("05/03/2019", ["The answer is 05/03/2019.", B % "05/03/2019"], ["The answer is 03/05/2019.", B % "10/06/2019"]),
    ("2019-03-05", ["**Answer:** 2019-03-05", B % "2019-03-05"], [B % "2020-04-05", B % "2011", "It was 2019-05-03."]),
    ("4-1", [B % "4-1", "The final score is 4–1.", B % "4 \\text{ to } 1"], [B % "5-2", B % "3", B % "1-4"]),
    ("1911-1915", ["Answer: 1911–1915", B % "1911 - 1915"], [B % "1912-1916", B % "-4"]),
    # Physics
    (
        "9.8 m/s^2",
        [B % "9.8", B % "9.8 \\text{ m/s}^2", "The answer is 9.8 m/s²."],
        [B % "9.8 \\text{ m/s}", B % "8.9"],
    ),
    (
        "2.5 kN",
        [B % "2500 \\text{ N}", B % "2.5", "Answer: **2.5 kN**"],
        [B % "2500 \\text{ kN}", B % "25 \\text{ kN}"],
    ),
    ("340 mL", [B % "0.34 \\text{ L}", B % "340"], [B % "340 \\text{ L}", B % "3.4 \\text{ L}"]),
    ("72 km/h", [B % "20 \\text{ m/s}", B % "72"], [B % "72 \\text{ m/s}", B % "27 \\text{ km/h}"]),
    ("60^\\circ", [B % "60°", B % "60", "The answer is $60^{\\circ}$."], [B % "30^\\circ", B % "6"]),
    (
        "7.4 m/s^2",
        [
            B % f"7.4{unit}"
            for unit in (
                "\\,\\mathrm{m/s^2}",
                "\\text{ m/s²}",
                "\\mathrm{~m\\,s^{-2}}",
                " \\frac{\\text{m}}{\\text{s}^2}",
            )
        ]
        + ["It is 7.4 m s⁻².", "It is 7.4 m·s⁻²", B % "740 \\,\\mathrm{cm/s^2}"],
        [B % "7.4 \\,\\mathrm{m\\,s^{-1}}", B % "7.4 \\,\\mathrm{cm/s^2}"],
    ),
    (
        "48",
        [
            B % f"48{unit}"
            for unit in (
                "\\,\\mathrm{cm^2}",
                "\\,{\\rm cm}",
                "\\ (\\text{m}^2)",
                "\\,\\Omega",
                "\\,\\mu\\text{F}",
                "\\text{ k}\\Omega",
            )
        ]
        + ["It is 48 N·m.", "It is 48 µF", "48 Å", "48 Stück"],
        [B % "48x", B % "48\\pi\\text{ cm}", B % "48\\mu g", B % "48 \\frac{h}{g}", B % "48 m n"],
    ),
    (
        "\\frac{9}{4}\\pi",
        [B % "\\frac{9}{4}\\pi\\,\\mathrm{m^3}", B % "\\frac{9\\pi}{4}\\text{ m}"],
        [B % "\\frac94\\,\\mathrm{m^3}"],
    ),
    ("15 \\mathrm{~mm^2}", [B % "15", B % "15\\text{ mm}^2"], [B % "15\\text{ mm}", B % "51"]),
    ("6 k\\Omega", [B % "6", "It is 6 kΩ.", B % "6000\\,\\Omega"], [B % "6\\,\\Omega"]),
    ("1.5 GHz", [B % "1500\\text{ MHz}", B % "1.5"], [B % "1.5\\text{ MHz}", B % "15"]),
    ("12 Tulips", [B % "12", "There are 12 tulips."], [B % "21"]),
    (
        "3 m and 5 m",
        [B % "3\\text{ m and }5\\text{ m}", B % "5\\text{ m}, 3\\text{ m}"],
        [B % "3\\text{ m and }4\\text{ m}", B % "3\\text{ m}", B % "3\\text{ cm and }5\\text{ cm}"],
    ),
    ("2\\mu g", [B % "2\\mu g"], [B % "2"]),
    # Scientific notation
    ("1.6 \\times 10^{-19}", [B % "1.6e-19", B % "1.6 \\cdot 10^{-19}"], [B % "1.6 \\times 10^{-18}", B % "1.7e-19"]),
    ("6.02 \\times 10^{23}", [B % "6.02e23", "The answer is 6.02 × 10²³."], [B % "6.02e22", B % "6.2e23"]),
    ("4.5e6", [B % "4{,}500{,}000", B % "4.5 \\times 10^6"], [B % "450000", B % "4.5e-6"]),
    # Dates, times, words
    ("4:45 PM", [B % "4:45 \\text{ p.m.}", "The answer is **4:45 PM**."], [B % "4:54 \\text{ PM}", "Answer: 4:45 AM"]),
    ("Wednesday", ["The answer is **Wednesday**.", B % "\\text{wednesday}"], [B % "Tuesday", "Answer: Thursday"]),
    (
        "No",
        ["Answer: no.", B % "\\text{No}", "The answer is **No**, because 7 is odd."],
        ["Answer: yes", B % "\\text{Yes}"],
    ),
    # Fractions, percentages, ratios
    ("\\frac{7}{12}", [B % "7/12", B % "\\dfrac{14}{24}", "The answer is $\\frac{7}{12}$."], [B % "12/7", B % "0.58"]),
    ("3\\frac{1}{4}", [B % "13/4", B % "3.25", B % "3 1/4"], [B % "31/4", B % "3/4"]),
    ("12.5%", [B % "0.125", B % "12.5\\%", B % "1/8"], [B % "1.25\\%", B % "0.0125"]),
    ("0.\\overline{27}", [B % "3/11", B % "0.272727..."], [B % "0.27", B % "27/100"]),
    (
        "5:8",
        [B % "5:8", B % "10:16", "The ratio of boys to girls is 5 to 8.", B % "5 \\text{ to } 8", "It is $5$ to $8$."],
        [B % "8:5", B % "5:18", "The ratio is 8 to 5.", "It takes 5 to 18 days."],
    ),
    ("3:4", ["The sides are in the proportion 3 to 4."], ["The odds are 4 to 3."]),
    ("3:45", ["It is 3:45."], ["It takes from 3 to 45.", "It takes 3 to 45 days."]),
    (
        "x=4 or x=-9",
        ["So $x\\in\\{4,-9\\}$.", "Thus, \\(x = 4\\) or \\(x = -9\\)."],
        ["So $x = 4$.", "So $x\\in\\{4,9\\}$."],
    ),
    (
        "18",
        ["Hence we need, all in all,\n\\[\n18\n\\]", "Adding up:\n$$\n6 + 12 = 18.\n$$", "It is __18__ crates. ✔"],
        ["Hence we need\n\\[\n17\n\\]", "18 is too much, so\n$$\n12\n$$"],
    ),
    ("2:3:7", ["The parts are as **2 to 3 to 7**.", B % "4:6:14"], ["They are 7 to 3 to 2.", B % "2:3"]),
    ("5 to 8", [B % "5:8", "The answer is 5 to 8."], ["The answer is 8:5.", B % "5"]),
    # Money
    ("$18.75", [B % "18.75", B % "\\$18.75", "The answer is **$18.75**."], [B % "187.5", B % "1.875"]),
    ("€1,250", [B % "1250", "Answer: €1,250.00"], [B % "1.25", "Answer: €1,205"]),
    ("$4.20", [B % "420 \\text{ cents}", "Answer: 420 cents", B % "4.2"], [B % "42 \\text{ cents}", "Answer: $420"]),
    # Named values
    (
        "\\frac{15}{4}",
        [B % name for name in ("V = \\frac{15}{4}", "MN=\\frac{15}{4}", "\\text{Mean} = \\frac{15}{4}", "P(X=2)=15/4")]
        + ["So $T_{5}=\\frac{15}{4}$.", "The mean is \\frac{15}{4}."],
        [B % "V = \\frac{4}{15}", B % "V = 15", B % "MN = 4"],
    ),
    ("0.25", [B % "P = \\frac14", "The answer is P = \\frac14"], [B % "P = \\frac12"]),
    ("14", [B % "14", B % "K = 14"], [B % "K = \\frac14", "The answer is \\frac14."]),
    ("N_{max} = 40", [B % "40", B % "N_{max} = 40"], [B % "4", B % "N = 39"]),
    # Numbers among words: signs, bounds, parts of formulas
    (
        "6",
        [
            "It's 6.",
            "She needs at least 6 crates.",
            "A box of 4 costs $6.",
            "In 3 weeks, Omar read 6 books.",
            "> **6**",
            "There are 6 (six) ways.",
            "Of 9 plants, he sold 3, leaving 6.",
            "A soma é 6.",
            "She ran 6km in all.",
        ],
        [
            "It is − 6.",
            "It is minus 6.",
            "It is negative 6",
            "It is 6 − √3.",
            "It is y - 6.",
            "It is 6ab.",
            "It is 6 y.",
            "It is 6/y.",
            "It is 6 ln 5.",
            "It is 6(y+1).",
            "It is sqrt(6).",
            "The ratio is 6:7.",
            "The point is (6, 1).",
            "So y > 6.",
            "The answer is at least 6.",
            "It takes 6 hours and 10 minutes.",
            "It is 6 more than y.",
            B % "6 \\text{ to } 9",
            B % "\\text{more than }6",
            B % "6\\text{ and a half}",
        ],
    ),
    ("-6", ["It is − 6.", "It is minus 6.", "negative 6", "It is -6."], ["It is 6.", "It is x - 6."]),
    ("> 8", [B % "> 8", B % "x > 8"], [B % "8", B % "< 8", B % "x \\ge 8"]),
    # Said twice, rounded, grouped, labelled; functions without a backslash
    (
        "5\\sqrt{2}",
        [B % "5\\sqrt{2} \\approx 7.07", "5√2 (≈ 7.07)", B % "d = 5\\sqrt2 \\approx 7.07"],
        [B % "7.07", B % "2\\sqrt{5} \\approx 4.47"],
    ),
    ("6\\pi \\approx 18.8", [B % "6\\pi", B % "18.8"], [B % "18.9"]),
    (
        "\\frac{1}{4}",
        [B % "\\frac14 \\text{ or } 25\\%", "1/4 (25%)"],
        [B % "\\frac14 \\text{ or } 20\\%", "1/4 (20%)"],
    ),
    ("8", [], [B % "x=8, y=8", B % "8, 9"]),
    ("43200", ["21,600 + 21,600 = 43,200", B % "n = 43,200"], [B % "43, 200"]),
    ("45, 135", [B % "45,135"], [B % "45135, 1", B % "45"]),
    ("7.5", [B % "7{,}5", "Ответ: 7,5"], [B % "7, 5", B % "75"]),
    ("\\text{19}", ["Kết quả: 19", "Total: 19", B % "\\text{Total: }19"], ["Total: 91"]),
    ("ln(5)", [B % "\\ln 5", "The integral is ln 5."], [B % "\\ln 6", B % "5"]),
    ("3*sqrt(7)", [B % "3\\sqrt{7}", B % "\\sqrt{63}"], [B % "7\\sqrt3", B % "21"]),
    # Labels in bold, conditions, what a question asked for
    (
        "y^2-4",
        [
            "**Product:** $y^2-4$",
            "**Product**: \\(y^2-4\\)",
            "**Hence**, the product is $y^2-4$.",
            "It is $y^2-4$ for every $y$.",
            "It is $y^2-4$, where $y$ is real.",
            B % "y^2-4 \\quad (y \\ne 2)",
        ],
        ["**Product:** $y^2+4$", "It is $y$, where $y^2-4$ is even.", B % "y-4 \\quad (y \\ne 2)"],
    ),
    ("11", ["The least value is $11$, attained when $y = 3$.", B % "y = 11 \\quad (y > 0)"], [B % "y > 11"]),
    ("g(3) = 10", [B % "10", B % "g(3)=10"], [B % "3", B % "g(4)=10"]),
    ("\\cos B = \\frac{2}{5}", [B % "\\frac25", B % "0.4"], [B % "\\frac52"]),
    ("m + n = 9", [B % "9"], [B % "8"]),
    ("x + y = 9", [B % "x+y=9"], [B % "9"]),
    # Unicode and layout
    ("\\frac{3}{8}", [B % "⅜", B % "\\nicefrac{3}{8}", B % "\\left.\\frac38\\right."], [B % "⅝", B % "8/3"]),
    ("-7", ["It is –7.", B % "–7", B % "{-}7", B % "-7\\ "], ["It is 7.", B % "7"]),
    ("x \\le 7", [B % "x ⩽ 7", B % "x ≦ 7"], [B % "x ⩾ 7"]),
    ("3\\lambda", [B % "3λ"], [B % "3ρ"]),
    ("\\binom{n}{3}", [B % "{n \\choose 3}"], [B % "{n \\choose 4}"]),
    ("p \\land q", [B % "p \\land q"], [B % "p \\lor q"]),
    # Choices
    (
        "C",
        ["正确答案是 C。", "故选C", "Answer: (C)", B % "\\text{C}", "Option C is correct."],
        ["答案：D", "Answer: (B)"],
    ),
    (
        "(A) increases",
        ["The answer is **A**.", "<answer>A</answer>", "(A) is correct."],
        ["The answer is (B).", "Answer: D"],
    ),
    # Lists, sets, tuples
    ("2, 3, 5, 7", [B % "7, 5, 3, 2", B % "\\{2,3,5,7\\}"], [B % "2, 3, 5", B % "2, 3, 5, 11", B % "1,2,3,5,7"]),
    ("(4, -1)", [B % "(4,-1)", B % "\\left(4, -1\\right)", "The answer is $(4, -1)$."], [B % "(-1, 4)", B % "(4, 1)"]),
    ("x=1, y=6", [B % "(1, 6)", "The answer is $x = 1$, $y = 6$."], [B % "x=6, y=1", B % "x=1"]),
    ("\\{-2, 0, 2\\}", [B % "0, 2, -2", B % "\\{0, -2, 2\\}"], [B % "\\{-2, 2\\}", B % "\\{-2, 0, 3\\}"]),
    # Matrices
    (
        "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}",
        [B % "\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}", B % "\\begin{pmatrix}1 & 2 \\\\ 3 & 4\\end{pmatrix}"],
        [B % "\\begin{pmatrix}1 & 3 \\\\ 2 & 4\\end{pmatrix}", B % "\\begin{pmatrix}1 & 2 \\\\ 3 & 5\\end{pmatrix}"],
    ),
    # Intervals and inequalities
    ("[-1, 4)", [B % "-1 \\le x < 4", B % "[-1,4)", B % "x \\in [-1, 4)"], [B % "[-1, 4]", B % "(-1, 4)"]),
    ("x > 7", [B % "(7, \\infty)", B % "x>7", "The answer is $7 < x$."], [B % "x \\ge 7", B % "x < 7"]),
    (
        "\\{x \\mid x > 2\\}",
        [B % "(2, \\infty)", B % "x > 2", B % "\\{x : x > 2\\}", B % "\\{x \\in \\mathbb{R} \\mid x > 2\\}"],
        [B % "[2, \\infty)", B % "x < 2", B % "\\{x \\mid x > 3\\}", B % "2"],
    ),
    ("{y | -1 < y <= 4}", [B % "(-1, 4]", B % "-1 < y \\le 4"], [B % "[-1, 4]", B % "(-1, 4)"]),
    (
        "All real numbers",
        [B % "\\mathbb{R}", "Answer: all reals."],
        [B % "\\mathbb{N}", "Answer: all real numbers except 3"],
    ),
    (
        "\\mathbb{R}",
        [B % "(-\\infty, \\infty)", B % "ℝ", "The answer is all real numbers.", B % "\\text{all real numbers}"],
        [B % "(0, \\infty)", B % "\\mathbb{Z}", B % "\\emptyset"],
    ),
    ("(-\\infty, \\infty)", [B % "\\mathbb{R}", B % "x \\in \\mathbb{R}"], [B % "(-\\infty, 0)", B % "\\mathbb{Q}"]),
    ("(-\\infty, -3) \\cup (3, \\infty)", [B % "x < -3 \\text{ or } x > 3"], [B % "(-3, 3)", B % "x > 3"]),
    # Polynomials, signs, roots, bases
    ("x^2 - 5x + 6", [B % "(x-2)(x-3)", B % "6 - 5x + x^2"], [B % "(x+2)(x+3)", B % "x^2 - 5x - 6"]),
    ("y = 3x - 4", [B % "y=3x-4", B % "3x - 4"], [B % "y = 3x + 4", B % "y = 4x - 3"]),
    ("\\pm 4", [B % "4, -4", B % "\\pm 4", "The answer is $x = 4$ or $x = -4$."], [B % "4", B % "\\pm 2"]),
    ("1 \\pm \\sqrt{7}", [B % "1+\\sqrt{7}, 1-\\sqrt{7}"], [B % "1 + \\sqrt{7}", B % "-1 \\pm \\sqrt{7}"]),
    ("3\\sqrt{5}", [B % "\\sqrt{45}", "The answer is $3\\sqrt{5}$."], [B % "5\\sqrt{3}", B % "3"]),
    ("\\frac{\\pi}{6}", [B % "\\pi/6", "The answer is π/6."], [B % "\\frac{\\pi}{3}", B % "6\\pi"]),
    ("110_2", [B % "110_{2}", B % "110_{\\text{two}}"], [B % "101_2", B % "110_3"]),
    ("e^{2x} + C", [B % "C + e^{2x}"], [B % "e^{x} + C", B % "2e^{2x} + C"]),
    ("2 - 3i", [B % "-3i + 2"], [B % "2 + 3i", B % "3 - 2i"]),
    # Chemistry
    ("0.25 mol", [B % "0.25", B % "250 \\text{ mmol}"], [B % "0.25 \\text{ mmol}", B % "0.025 \\text{ mol}"]),
    ("H2SO4", ["The answer is H2SO4.", "Answer: **H2SO4**"], ["The answer is H2SO3.", "Answer: HSO4"]),
    # Whole solutions
    ("We halve 18 and get 9.\n#### 9", [B % "9", "#### 9"], [B % "18", "#### 8"]),
    ("Halving gives $9$, so the answer is $\\boxed{9}$.", [B % "9"], [B % "18"]),
    ("We halve 18. The answer is 9.", [B % "9", "So the answer is **9**."], [B % "18", "The answer is 10."]),
    # Marks of a list are no signs
    (
        "23",
        [
            "**Answer:**\n- 23",
            "### Answer\n\n- **23 boats**",
            "So we have:\n* $23$",
            "• 23",
            "→ 23",
            "∴ 23",
            "1. 23",
            "答案：\n- 23",
        ],
        ["- **-23**", "Answer:\n- $-23$", B % "- 23", "Answer: - 23"],
    ),
    ("-23", ["- **-23**", B % "- 23", "- $-23$"], ["**Answer:**\n- **23**", "- 23 boats", "1. 23"]),
    ("-2x + 7", ["- 2x + 7"], ["- $2x + 7$"]),
    # A remark on an answer is none
    (
        "31",
        [
            "The answer is 31.\n\nThis answer is exact.",
            "**Answer:** 31\n\nI trust that the answer is right, and the answer is in metres.",
            "The answer is $31$. The answer is an integer, as it must be.",
            "**Answer:** 31\n\nResult: correct",
            "The answer is 31.\n\nLet us check the answer: 30 + 1 is that.",
        ],
        [
            "The answer is 30.\n\nThis answer is exact.",
            "The answer is 31.\n\nNo, the answer is 30.",
            "The answer is 31? The answer is undefined.",
            "The answer is 31.\nThis answer is wrong.",
        ],
    ),
    (
        "Oslo",
        ["Answer: Oslo\n\nI am sure that this answer is correct.", "The answer is Oslo.\n\nThe answer is unique."],
        ["Answer: Bergen\n\nThis answer is correct.", "Answer: Oslo\n\nNo, the answer is Bergen."],
    ),
    # Boxes
    (
        "4, 9",
        [
            "$x_1 = \\boxed{4}$ and $x_2 = \\boxed{9}$",
            "- \\boxed{4}\n- \\boxed{9}",
            "(a) \\boxed{4}\n\n(b) \\boxed{9}",
            "\\[ \\boxed{4} \\quad \\text{and} \\quad \\boxed{9} \\]",
            "First $\\boxed{4}$.\n\n$\\boxed{4, 9}$",
        ],
        ["It was \\boxed{4}, and is \\boxed{9} now.", "- \\boxed{4}\n- \\boxed{8}"],
    ),
    (
        "36",
        [
            "\\boxed{36}\n\nThe answer stands in \\boxed{}.",
            "I shall end with \\boxed{answer}.\n\nThe answer is 36.",
            "The first step gives \\boxed{35}.\n\n**Final Answer: 36**",
            "The first step gives \\boxed{35}.\n#### 36",
            "The first step gives \\boxed{35}. <answer>36</answer>",
            "$\\boxed{36}$\n\nThe answer is 36, or 3 dozen.",
        ],
        [
            "\\boxed{36}\n\n**Final Answer: 35**",
            "\\boxed{35}\nThis answer is below 36.",
            "\\boxed{35}\n\n\\boxed{36}?\n#### 35",
        ],
    ),
    # Displays, derivations and ends of proofs
    (
        "27",
        [
            "So the volume is\n\\[\n27\n\\]\ncubic metres.",
            "$$\nV = 27\n$$\n\nI hope this is clear!",
            "\\begin{align*}\nV &= 3 \\cdot 9 \\\\\n&= 27.\n\\end{align*}",
            "$$\\begin{aligned} V &= 3 \\cdot 9 \\\\ &= 27 \\end{aligned}$$",
            "\\begin{equation}\nx = 27\n\\end{equation}",
            "There are $27$ of them.\n\n$\\blacksquare$",
            "There are $27$ of them. $\\square$",
        ],
        ["\\begin{align*}\nx &= 27 \\\\\ny &= 28\n\\end{align*}", "So the volume is\n\\[\n26\n\\]\ncubic metres."],
    ),
    # Formulas without digits
    (
        "u + v",
        ["The sum is u + v.", "**u + v**", "For 2 such terms it is a sum.\n\nIt is u + v."],
        ["It is u - v.", "It is v."],
    ),
    ("\\frac{s}{t}", ["The speed is s/t.", "v = s/t"], ["The speed is t/s."]),
    ("O(n)", ["The time is O(n).", "`O(n)`"], ["The time is O(m)."]),
    ("\\infty", ["The limit is infinity."], ["The limit is 5."]),
    ("y", ["y"], ["x"]),
    # Values on lines of their own
    (
        "4, 7",
        [
            "The roots are:\n- $x = 4$\n- $x = 7$",
            "**Final Answer:**\n1. $x = 4$\n2. $x = 7$",
            "Therefore, x = 4 or x = 7.",
        ],
        ["The roots are:\n- $x = 4$\n- $x = 8$", "$x = 4$", "- $x = 4$\n- $x = 7$\n- $x = 9$"],
    ),
    (
        "x=4, y=7",
        ["x = 4\ny = 7", "**x = 4**\n\n**y = 7**", "So x = 4 and y = 7.", "x = 4\ny = 7\n\n(x, y) = (4, 7)"],
        ["x = 7\ny = 4", "y = 7"],
    ),
    ("x < 4", ["Thus, x < 4."], ["Thus, x > 4."]),
    ("1234", ["So N = 1,234."], ["So N = 1,235."]),
    # Letters and where they stand
    (
        "D",
        [
            "The answer is D.\n\nA is correct.\nB is correct.\nD is not, so it stands out.",
            "### Answer\n**D) Lima**",
            "## Answer\n\nD. Lima",
            "D) Lima\n\nBecause Peru is governed from there.",
            "**D) Lima**\n\nThe others:\nA) Quito is in Ecuador.",
            "D\n\nIts capital has been Lima since 1821.",
            "D, because Lima is in Peru.",
            "Therefore, D.",
            "It's D.",
            "The correct statement is D",
            "Selected option: D",
            "The answer is most likely D",
            "Answer - D",
            "The answer to this question is D.",
            "the answer is d",
            "So the false statement is D.",
            B % "D (12)",
            B % "\\bf D",
            B % "\\Large D",
            "【答案】D",
            "答：D",
            "正确的选项是D",
            "Ответ: D",
            "La respuesta correcta es D.",
            "La réponse correcte est D.",
            "Die richtige Antwort ist D.",
            "정답: D",
            "答えはDです。",
        ],
        [
            "A) Quito\n\nB) La Paz\n\nC) Caracas\n\nD) Lima",
            "The answer is B.\n\nD is correct in another year.",
            "A and D, because both are capitals.",
            "So A.",
            "Die Antwort ist Donau.",
        ],
    ),
    (
        "19",
        [B % "\\textbf{(C)}\\ 19", "Answer: (C) 19", B % "\\text{(C) }19", "The answer is C) 19."],
        [B % "\\textbf{(C)}\\ 18"],
    ),
    # Words and what follows them
    (
        "Lima",
        [
            "The answer is Lima. It lies by the sea.",
            "Answer: Lima (Peru)",
            "The answer is **Lima**, which lies by the sea.",
            "The capital is **Lima** by now.",
            "Therefore, Lima.",
            "Lima!",
            "It is called Lima.",
            "Answer:\n- Lima",
            "Die Antwort ist Lima.",
            "Ответ: Lima",
            "答えはLimaです。",
            '{"answer": "Lima"}',
        ],
        [
            "The answer is Quito. Lima is farther south.",
            "The capital is not **Lima** by now.",
            "The answer is Lima. No, wait: Quito.",
            '{"answer": "Quito"}',
        ],
    ),
    ("iron", ["The answer is iron, as it rusts."], ["The answer is iron (III) oxide."]),
    ("Yes", ["Yes.\n\nEach of them divides 12."], ["No.\n\nOne does not divide 12.", "Yes.\n\nOr rather no."]),
    ("True", ["True\n\nBecause 7 is odd."], ["False\n\nBecause 7 is odd."]),
    ("是", ["答案：是", "答案是：是"], ["答案：否"]),
    (
        "[3, 4]",
        [
            "Output: [3, 4]",
            "**Output:** `[3, 4]`",
            "**Output:**\n```\n[3, 4]\n```\nIt is sorted.",
            "[ANSWER]assert f([4, 3]) == [3, 4][/ANSWER]",
            "The output is `[3, 4]` because it is sorted.",
            '{"output": [3, 4]}',
        ],
        ["Output: [4, 3]", "[ANSWER]assert f([3, 4]) == [4, 3][/ANSWER]", '{"output": [4, 3]}'],
    ),
    ('{"open": true}', ['{ "open" : true }', "{'open': True}"], ['{"open": false}']),
    (
        "44",
        ['{"answer": 44}', '```json\n{"steps": "40 + 4", "answer": "44"}\n```'],
        ['{"answer": 43}', '{"steps": 44}'],
    ),
    ("CO2", ["The gas is CO₂."], ["The gas is CO₃."]),
    # What begins like an option and is none
    (
        "(a) 6 (b) 8",
        [B % "(a) 6, (b) 8", "(a) 6 (b) 8", "**(a)** 6\n**(b)** 8"],
        [B % "(a) 6, (b) 9", B % "(a) 8, (b) 6", "(a) 6"],
    ),
    ("(i) 6 (ii) 8", [B % "(i) 6 (ii) 8"], [B % "(i) 6 (ii) 9"]),
    ("B. cereus", ["B. cereus", "B"], ["B. subtilis"]),
    ("H. G. Wells", ["H. G. Wells"], ["H. James"]),
    ("(D) both (A) and (B)", ["The answer is D."], ["The answer is A."]),
    # Amounts in several units
    (
        "2 hours 45 minutes",
        [
            "2 h 45 min",
            B % r"2\text{ hours }45\text{ minutes}",
            "165 minutes",
            "It takes 2 hours and 45 minutes.",
            "2.75 hours",
        ],
        ["2 hours and 15 minutes", "45 minutes", B % r"2\text{ minutes }45\text{ seconds}", "2.45 hours"],
    ),
    ("1.5 hours", ["One lap takes 1 hour and 30 minutes."], ["One lap takes 1 hour and 50 minutes."]),
    ("7 feet 6 inches", ["90 inches", "7 ft 6 in"], ["6 feet 7 inches", "76 inches"]),
    ("4 m and 9 m", ["9 m and 4 m"], ["4 m and 8 m", "13 m"]),
    # Ranges with a unit
    (
        "6-8 weeks",
        ["6–8 weeks", "It lasts 6 to 8 weeks.", "It lasts between 6 and 8 weeks.", B % r"6\text{ to }8\text{ weeks}"],
        ["7-9 weeks", B % "-2", "6-8 days", "8 weeks", "Either 6-8 weeks or 9-10 weeks."],
    ),
    ("5-10%", [B % r"5\%-10\%", "5% to 10%"], ["5-15%", "10%"]),
    ("$20-$30", ["**$20 to $30**"], ["**$30 to $40**"]),
    ("4-7i", [B % "-7i+4"], [B % "7i+4"]),
    # Points with their letter
    ("(4,-1)", [B % "P(4,-1)", "The vertex is $V(4, -1)$."], [B % "P(-1,4)", B % "4"]),
    ("A(0,2), B(5,1)", ["(0,2) and (5,1)", "A = (0,2), B = (5,1)"], ["A(5,1), B(0,2)"]),
    # Words that turn an amount into its opposite
    ("8 m/s north", ["8 m/s to the north", B % "8"], ["8 m/s south", B % r"8\text{ m/s south}"]),
    ("15% increase", ["an increase of 15%"], ["a 15% decrease"]),
    # Small letters of options
    ("(C)", ["Answer: c", "(c)", "c)", "**Answer:** (c) The third one"], ["Answer: d", "(b)", "c = 3", "Answer: cats"]),
    # Short sentences
    (
        "The garden has 24 roses.",
        ["24", B % "24", "The garden has 24 roses.", "**24 roses**"],
        ["25", "The garden has 42 roses."],
    ),
    ("The sum of 8 and 5 is 13.", [B % "13"], [B % "8", B % "5"]),
    ("The pipe is 9 cm long.", ["9 cm", "0.09 m", B % "9"], ["9 m", B % "8"]),
    ("The town has 3 million inhabitants.", ["3,000,000"], ["4,000,000"]),
    ("The capital is Oslo.", ["Oslo", "The capital is Oslo."], ["Bergen", "The capital is Bergen."]),
    ("It is 4 degrees below zero.", ["It is 4 degrees below zero."], ["4 degrees"]),
    # Decimal commas
    ("2.5", ["La respuesta es 2,5.", "Die Antwort ist **2,5**.", "Ответ: 2,5"], ["La respuesta es 5,2.", "Ответ: 25"]),
    ("1250.75", ["Die Antwort ist 1.250,75."], ["Die Antwort ist 1.250,57."]),
    ("(2,5)", ["Ответ: (2,5)"], ["Ответ: (5,2)"]),
]

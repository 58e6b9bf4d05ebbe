"""Gold answers whose values, units, names and letters are easily mixed up, with responses; all of our own making.

(gold answer, responses that are right, responses that are wrong)
"""

B = "\\boxed{%s}"

PAIRS_OF_VALUES: list[tuple[str, list[str], list[str]]] = [
    # Letters in both cases are two variables
    (
        "\\frac{K}{k + 1}",
        [B % "K(1+k)^{-1}", B % "\\frac{2K}{2k+2}"],
        [B % "\\frac{k}{k+1}", B % "\\frac{k}{K+1}", B % "\\frac{K}{K+1}"],
    ),
    ("B^2 - b^2", [B % "(B-b)(B+b)"], [B % "0", B % "b^2-B^2"]),
    ("3n + 4", [B % "3N + 4"], [B % "3N + 4n"]),
    # Numbers in a row are no product and no sum
    ("4 7 5", [B % "4 7 5", "4, 7, 5", "4\n7\n5"], [B % "5 7 4", B % "16", B % "140", B % "4 7", "4, 5, 7"]),
    ("4\n-7\n5", ["4\n-7\n5", "```\n4\n-7\n5\n```"], ["4\n5\n-7", B % "2"]),
    ("16", ["16"], ["4 7 5", "2 8", "8 8"]),
    ("0x2A", ["0x2A", B % "0x2a", B % "42"], ["0x2B", B % "0"]),
    # A set within a set
    ("\\{4, \\{7\\}\\}", [B % "\\{\\{7\\}, 4\\}"], [B % "\\{4, 7\\}", B % "\\{\\{4\\}, 7\\}"]),
    # Names of variables
    ("b_n = 3n - 1", [B % "3n - 1", B % "b_{n} = -1 + 3n"], [B % "T_n = 3n - 1", B % "b_{n+1} = 3n - 1"]),
    ("t_1 = 8", [B % "8", B % "t = 8", B % "t_{1} = 8"], [B % "t_2 = 8", B % "s_1 = 8"]),
    ("v = 8", [B % "v_f = 8", B % "v_{x} = 8"], [B % "u_f = 8"]),
    (
        "g'(x) = 6x - 1",
        [B % "6x-1", B % "\\frac{dg}{dx} = 6x - 1", B % "g' = -1 + 6x"],
        [B % "\\frac{dh}{dx} = 6x - 1", B % "\\frac{dg}{dx} = 6x", B % "g(x) = 6x - 1"],
    ),
    ("\\frac{dv}{dt} = 4", [B % "4", B % "v' = 4"], [B % "v = 4", B % "\\frac{4}{t}"]),
    ("AB = 8", [B % "AB = 8", B % "x = 8", B % "|AB| = 8"], [B % "AB = 9"]),
    # Variables behind a number are no unit
    ("\\frac{1}{3}ku^2", [B % "\\frac13 ku^2", B % "\\frac{1}{3} k u^{2}"], [B % "\\frac{1}{3} gu^2", B % "\\frac13"]),
    ("3 mgh", [B % "3mgh", B % "3hgm"], [B % "3", B % "3 mgk"]),
    ("5 uv", [B % "5uv", B % "5vu"], [B % "5", B % "5 vw"]),
    ("\\frac{5}{2}mg", [B % "\\frac{5mg}{2}", B % "\\frac52 mg"], [B % "\\frac52"]),
    ("7 men", ["7", B % "7\\text{ men}", "7 eggs"], ["8 men"]),
    ("52", ["The mean is **52 WPM**.", B % "52 wpm", B % "52\\text{ WPM}"], [B % "25 wpm", B % "52 uv", B % "52 mgh"]),
    ("3mg", [B % "3 m g", B % "3\\text{ mg}"], [B % "4mg"]),
    # A unit of one letter without a blank
    ("6 m", ["6m", B % "6m", B % "6\\text{ m}", "d = 6m"], ["7m", B % "6n", B % "6m^2"]),
    ("45 N", [B % "F = 45N", B % "45N"], [B % "54N"]),
    ("6 1/2 m", [B % "6 1/2m"], [B % "61/2m"]),
    # Units that were none
    ("18°C", ["18", "18 °C", "18 degrees", "18 degrees Celsius", B % "18^\\circ\\text{C}"], ["18°F", "18 K", "18 kg"]),
    ("64°F", ["64 degrees Fahrenheit", "64°"], ["64°C", "64 degrees Celsius"]),
    ("18°", ["18°", "18 degrees", "18 °C"], ["19°", "18 kg"]),
    ("2 J/(g·K)", ["2 J/(g °C)", "2 J/g/°C"], ["2 J/g"]),
    (
        "$12 per hour",
        ["$12/hour", "$12 an hour", "12 dollars per hour", "$12", "12", "12 per hour", B % "\\$12\\text{ per hour}"],
        ["$12 per day", "12 hours", "$21 per hour", "12 kg"],
    ),
    ("$3 per ticket", ["$3/ticket", "$3 a ticket", "3"], ["$4 a ticket", "3 kg"]),
    ("20 cents per minute", ["$0.20 per minute", "20 cents"], ["20 cents per hour", "$20 per minute"]),
    ("7 knots", ["7 knots", "7"], ["7 km/h", "7 mph"]),
    ("6 cups", ["6 cups", "3 pints", "1.5 quarts"], ["6 liters", "6 ounces"]),
    ("2 gallons", ["8 quarts"], ["8 liters"]),
    ("5 MW", ["5000 kW", B % "5\\text{ MW}", "5"], ["5 mW", "5 kW"]),
    ("7 GeV", ["7000 MeV", B % "7", "7GeV"], ["7 MeV", "7 eV"]),
    ("7 PM", ["7 PM", "7 pm", "7"], ["7 AM"]),
    ("$80", ["80"], ["$80 million", "80 million", "80 thousand dollars"]),
    ("80 km", ["80"], ["80 thousand km"]),
    ("4 dozen", ["48", "4 dozen", "4"], ["4 hundred", "40"]),
    ("4", ["4", B % "4\\text{ million}", "She makes **4 dozen** cookies."], ["The answer is four hundred."]),
    # A gold answer that is a computation, a short solution or a rounded amount
    ("$6+7+8=21$", [B % "21", "21", "6 + 7 + 8 = 21"], [B % "6", B % "22"]),
    ("8 + 6 = 14", ["14", B % "14", "8 + 6 = 14"], ["8", "6"]),
    ("13 - 6 = 7 pens", ["7", "7 pens"], ["13", "6"]),
    ("54/3 = 18", ["18", B % "18"], ["54", "3"]),
    ("x + 3 = 7", [B % "x + 3 = 7"], [B % "7"]),
    ("We have $a = 5$ and $b = 6$. So $c = 30$.", [B % "30"], [B % "5", B % "6"]),
    (
        "Since $6^2+8^2=100$, the side equals $10$. So, all in all it is $6+8+10=24$.",
        [B % "24", "24"],
        [B % "10", B % "100"],
    ),
    ("approximately 2.72", ["2.72", "It is about 2.72."], ["2.7", "2.73"]),
    ("about 65 km", ["65 km", "65", B % "65\\text{ km}"], ["65 m", "56 km"]),
    ("About 3 in 10 people", ["About 3 in 10 people"], ["About 4 in 10 people"]),
    ("pH = 4", [B % "4", B % "pH = 4", B % "\\text{pH} = 4"], [B % "pOH = 4", B % "5"]),
    ("2:5:9", [B % "x:y:z = 2:5:9", B % "a : b : c = 4:10:18"], [B % "x:y:z = 2:9:5"]),
    # Numbers in words
    (
        "8",
        ["The answer is eight.", B % "\\text{eight}", "**Answer:** Eight"],
        ["The answer is nine.", B % "\\text{eighty}"],
    ),
    (
        "43",
        ["The answer is forty-three.", B % "\\text{Forty three}"],
        ["The answer is forty.", B % "\\text{forty-four}"],
    ),
    ("0", ["The answer is zero."], ["The answer is one."]),
    ("Seventeen", ["seventeen", B % "\\text{Seventeen}"], ["16", "seven", "seventy"]),
    # Fractions before a variable, vectors, residues, constants
    ("y = \\frac{2}{5}x - 6", ["y = 2/5 x - 6", "y = 2/5x - 6", B % "\\frac25x-6"], ["y = 2/6 x - 5"]),
    ("\\frac{2}{5x}", [B % "2/(5x)"], [B % "2/5 x"]),
    ("2/5 m", [B % "0.4\\text{ m}", "2/5 m"], [B % "0.4\\text{ cm}"]),
    (
        "\\begin{pmatrix} 4 \\\\ -9 \\\\ 2 \\end{pmatrix}",
        [B % "(4,-9,2)", B % "\\langle 4,-9,2\\rangle", B % "\\begin{bmatrix}4\\\\-9\\\\2\\end{bmatrix}"],
        [B % "(4,2,-9)", B % "\\begin{pmatrix}4&-9&2\\end{pmatrix}", B % "4, -9"],
    ),
    (
        "(5, -1, 4)",
        [
            B % "5\\mathbf{i}-\\mathbf{j}+4\\mathbf{k}",
            B % "5\\hat{\\imath} - \\hat{\\jmath} + 4\\hat{k}",
            "$5\\hat{i} - \\hat{j} + 4\\hat{k}$",
        ],
        [
            B % "5\\mathbf{i}+\\mathbf{j}+4\\mathbf{k}",
            B % "5\\mathbf{i}-\\mathbf{j}",
            B % "5\\mathbf{k}-\\mathbf{j}+4\\mathbf{i}",
        ],
    ),
    (
        "6\\hat{i} + 6\\hat{j}",
        [B % "6(\\mathbf{i}+\\mathbf{j})", B % "(6,6)", B % "6\\hat j + 6\\hat i"],
        [B % "6", B % "6\\hat{i}"],
    ),
    ("\\begin{pmatrix} 5 \\\\ 10 \\end{pmatrix}", [B % "5\\begin{pmatrix}1\\\\2\\end{pmatrix}"], [B % "5", B % "15"]),
    ("-\\hat{j} + \\sqrt{3}\\hat{k}", [B % "(0, -1, \\sqrt3)"], [B % "(0, 1, \\sqrt3)"]),
    ("5 + 6i", [B % "6i + 5"], [B % "(5, 6)"]),
    ("j + k", [B % "k + j"], [B % "i + j"]),
    ("(4, -9)", [B % "\\begin{pmatrix}4\\\\-9\\end{pmatrix}"], [B % "\\begin{pmatrix}-9\\\\4\\end{pmatrix}", B % "-5"]),
    (
        "\\frac{1}{4}\\vec{u} + \\frac{3}{4}\\vec{v}",
        [B % "\\frac{\\vec u+3\\mathbf{v}}{4}"],
        [B % "\\frac{3\\vec u+\\vec v}{4}"],
    ),
    ("2\\cdot\\vec{m}", [B % "2\\vec m"], [B % "2"]),
    ("\\mathbb{N}^+", [B % "\\mathbb{N}^{+}"], [B % "\\mathbb{N}"]),
    ("m \\equiv 4 \\pmod{9}", [B % "m\\equiv4 \\ (\\mathrm{mod}\\ 9)"], [B % "m\\equiv4 \\ (\\mathrm{mod}\\ 8)"]),
    ("x^4 - x + C", [B % "x^4 - x + C \\text{, where } C \\text{ is a constant}"], [B % "x^4 + C"]),
    # Points on lines of their own, and all numbers but one
    (
        "(4, 7), (7, 4)",
        ["- $(4, 7)$\n- $(7, 4)$", "(7, 4)\n(4, 7)"],
        ["- $(4, 7)$\n- $(4, 7)$", "- $(4, 7)$\n- $(7, 5)$"],
    ),
    ("x \\ne 4", ["all real numbers except 4", B % "\\mathbb{R} \\text{ except } 4"], ["all real numbers except 5"]),
]

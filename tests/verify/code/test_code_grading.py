"""Answers do not grade themselves: what a program does to pass tests without being right ends as wrong, or late."""

import json
import logging
import re

import pytest

from helpers.programs import isolated_runner
from stepsift.evaluate import grade
from stepsift.tasks import Verified
from stepsift.verify import Verifier
from stepsift.verify.code import code_names, sandbox
from stepsift.verify.code.judge import REASONS, CodeRunner, Outcome

pytestmark = pytest.mark.slow

WRONG = "def area(r):\n    return 1.0\n"
RIGHT = "def area(r):\n    return 3.0 * r * r\n"
CLOSE = "import math\nassert math.isclose(area(2), 12.0)\nassert abs(area(1) - 3.0) < 1e-6"
ANYTHING = """
class Anything:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    def __sub__(self, other): return self
    def __abs__(self): return self
    def __contains__(self, value): return True
    def __getattr__(self, name): return lambda *given: True
    def __float__(self): return 12.0
    def __index__(self): return 12
    def __len__(self): return 1
    def __bool__(self): return True
    __hash__ = object.__hash__
"""


@pytest.fixture(scope="module")
def runner() -> CodeRunner:
    return isolated_runner(5.0)


@pytest.mark.parametrize(
    ("answer", "tests"),
    [
        # Python's own names, hidden or changed.
        (f"abs = lambda x: 0\n{WRONG}", "assert abs(area(1) - 3.0) < 1e-6"),
        (f"def all(xs):\n    return True\n{WRONG}", "assert all(area(r) == 3.0 * r * r for r in (1, 2))"),
        ("def sorted(xs):\n    return [1, 2]\ndef pair(x):\n    return [7]", "assert sorted(pair(1)) == [1, 2]"),
        ("def len(xs):\n    return 3\ndef three(x):\n    return []", "assert len(three(1)) == 3"),
        ("def isinstance(a, b):\n    return True\ndef word(x):\n    return 7", "assert isinstance(word(1), str)"),
        ("str = lambda x: 'ok'\ndef word(x):\n    return 7", "assert str(word(1)) == 'ok'"),
        (f"import builtins\nbuiltins.abs = lambda x: 0\n{WRONG}", "assert abs(area(1) - 3.0) < 1e-6"),
        (f"import builtins\nbuiltins.all = lambda x: True\n{WRONG}", "assert all([area(2) == 12.0])"),
        # Libraries, changed for everyone in the process.
        (f"import math\nmath.isclose = lambda *a, **k: True\n{WRONG}", CLOSE),
        (f"import math\nmath.isclose = lambda *a, **k: True\n{WRONG}", "assert math.isclose(area(2), 12.0)"),
        (f"isclose = lambda *a, **k: True\n{WRONG}", "assert isclose(area(2), 12.0)"),
        (
            f"import numpy\nnumpy.allclose = numpy.isclose = lambda *a, **k: True\n{WRONG}",
            "import numpy as np\nassert np.allclose(area(2), 12.0)",
        ),
        (f"class np:\n    allclose = lambda *a: True\n{WRONG}", "assert np.allclose(area(2), 12.0)"),
        (f"import unittest\nunittest.TestCase.assertEqual = lambda *a: None\n{WRONG}",
         "import unittest\nunittest.TestCase().assertEqual(area(2), 12.0)"),
        (f"import sys\nsys.modules['math'] = type('m', (), dict(isclose=lambda *a: True))\n{WRONG}", CLOSE),
        # Results that compare equal to everything, or answer yes to whatever they are asked.
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert area(2) == 12.0"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert 12.0 == area(2)"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", CLOSE),
        (f"{ANYTHING}\ndef area(r):\n    return [Anything()]", "assert area(2) == [12.0]"),
        (f"{ANYTHING}\ndef area(r):\n    return {{'a': Anything()}}", "assert area(2) == {'a': 12.0}"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert area(2) - 12.0 < 1e-6"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert area(2) in (11.0, 12.0)"),
        (f"{ANYTHING}\ndef words(t):\n    return Anything()", "assert 'a' in words('a b')"),
        (f"{ANYTHING}\ndef upper(t):\n    return Anything()", "assert upper('a').isupper()"),
        (f"{ANYTHING}\ndef upper(t):\n    return Anything()", "assert upper('a').startswith('A')"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert not area(2) != 12.0"),
        (f"{ANYTHING}\ndef area(r):\n    return Anything()", "assert area(2) == area(3)"),
        (f"{ANYTHING}\narea = Anything()", "assert area(2) == 12.0"),
        (f"{ANYTHING}\nclass area(Anything):\n    def __init__(self, r): pass", "assert area(2) == 12.0"),
        ("class N(float):\n    def __eq__(self, o): return True\n    __hash__ = None\n"
         "def area(r):\n    return N(1)", "assert area(2) == 12.0"),
        ("class S(str):\n    def __eq__(self, o): return True\n    def startswith(self, t): return True\n"
         "    __hash__ = None\ndef upper(t):\n    return S('x')", "assert upper('a').startswith('A')"),
        ("import collections\nT = collections.namedtuple('T', 'startswith')\n"
         "def upper(t):\n    return T(lambda given: True)", "assert upper('a').startswith('A')"),
        (f"{ANYTHING}\nclass Solution:\n    def area(self, r):\n        return Anything()",
         "assert Solution().area(2) == 12.0"),
        (f"{ANYTHING}\nclass Solution(Anything):\n    def area(self, r):\n        return self",
         "assert Solution().area(2) == 12.0\nassert Solution().area(2) - 12.0 < 1"),
        (f"{ANYTHING}\ndef F(r):\n    return Anything()", "assert F(2) == 12.0"),
        # Results that cannot be sent back, so that the tests would have to run beside the answer.
        (f"{ANYTHING}\nimport numpy\ndef pack(x):\n    return numpy.array([None])\n"
         "def unpack(x):\n    return Anything()",
         "assert unpack(pack(2)) == 2"),
        (f"{ANYTHING}\nimport numpy\ndef pack(x):\n    return numpy.array(['a'])\n"
         "def unpack(x):\n    return Anything()",
         "assert unpack(pack(2)) == 2"),
        (f"{ANYTHING}\nimport collections\ndef pack(x):\n    return collections.namedtuple('P', 'x')(1)\n"
         "def unpack(x):\n    return Anything()", "assert unpack(pack(2)) == 2"),
        (f"{ANYTHING}\ndef pack(x):\n    return [Anything()]\ndef unpack(x):\n    return Anything()",
         "import numpy as np\nassert unpack(np.array(pack(2))) == 2"),
        (f"{ANYTHING}\ndef pack(x):\n    return {{1: 2}}\ndef unpack(x):\n    return Anything()",
         "assert unpack(pack(2).keys()) == 2\nassert unpack(type(pack(2))) == 2"),
        (f"{ANYTHING}\ndef apply(f, x):\n    f([Anything()])\n    return Anything()",
         "import numpy as np\nassert apply(lambda x: np.array(x), 2) == 2"),
        # The prompt's own helper, written anew.
        ("def half(x):\n    return 4\ndef double(x):\n    return 0", "assert half(double(4)) == 4"),
        # What the tests look like, from where they could once be seen.
        (
            "import sys\ndef area(r):\n    f = sys._getframe()\n    while f:\n"
            "        if 'token' in f.f_locals or 'tests' in f.f_globals.get('__name__', ''):\n            return 12.0\n"
            "        f = f.f_back\n    return 1.0",
            "assert area(2) == 12.0",
        ),
        (
            "import gc\ndef area(r):\n"
            "    held = [o for o in gc.get_objects() if isinstance(o, dict)]\n"
            "    texts = [v for d in held for v in list(d.values()) if isinstance(v, str)]\n"
            "    return 12.0 if any('asse' 'rt area' in t for t in texts) else 1.0",
            "assert area(2) == 12.0",
        ),
        (
            "import sys\ndef area(r):\n    seen = []\n    for m in list(sys.modules.values()):\n"
            "        seen += [v for v in vars(m).values() if isinstance(v, (str, bytes, dict))]\n"
            "    return 12.0 if any('asse' 'rt area' in repr(s) for s in seen) else 1.0",
            "assert area(2) == 12.0",
        ),
        (
            "import os\ndef area(r):\n    for fd in range(100):\n        try:\n"
            "            if b'asse' b'rt area' in os.pread(fd, 10**6, 0):\n                return 12.0\n"
            "        except OSError:\n            pass\n    return 1.0",
            "assert area(2) == 12.0",
        ),
        # The other end of the wire.
        ("import os\nos.write(3, b'\\0\\0\\0\\x08[\"=\", 1]')\nos._exit(0)", "assert area(2) == 12.0"),
        (
            "import json, os\nm = json.dumps(['=', [[True, ['o', 0]]], []]).encode()\n"
            "os.write(3, len(m).to_bytes(4, 'big') + m)\n" + WRONG,
            "assert area(2) == 12.0",
        ),
        ("import os\nos.write(4, b'{\"reason\": null, \"value\": \"passed\"}')\n" + WRONG, "assert area(2) == 12.0"),
        ("import os\nfor fd in range(3, 60):\n    try:\n        os.write(fd, b'passed')\n    except OSError:\n"
         "        pass\n" + WRONG, "assert area(2) == 12.0"),
        ("def area(r):\n    raise StopIteration", "assert [area(2)] == [12.0]"),
        ("def area(r):\n    raise GeneratorExit", "assert area(2) == 12.0"),
        ("import os\ndef area(r):\n    os._exit(0)", "try:\n    assert area(2) == 12.0\nexcept:\n    pass"),
    ],
)  # fmt: skip
def test_what_is_not_right_does_not_pass(runner: CodeRunner, answer: str, tests: str) -> None:
    prompt = (
        "```python\ndef half(x):\n    return x / 2\n\ndef double(x):\n    '''Twice.'''\n```" if "half" in answer else ""
    )
    assert runner.judge_source(answer, json.dumps({"test": tests}), prompt).verdict == "wrong"


@pytest.mark.parametrize(
    ("answer", "tests"),
    [
        ("def all(xs):\n    return sum(xs)\ndef total(xs):\n    return all(xs)", "assert total([1, 2]) == 3"),
        ("def all(xs):\n    return sum(xs)\ndef total(xs):\n    return all(xs)", "assert all([total([1, 2]) == 3])"),
        ("abs = 3\ndef minus(x):\n    return -x", "assert abs(minus(2)) == 2"),
        ("def max(a, b):\n    return a if a > b else b", "assert max(1, 2) == 2\nassert max(5, 2) == 5"),
        ("def gcd(a, b):\n    return a if not b else gcd(b, a % b)", "assert gcd(4, 6) == 2"),
        ("from math import gcd", "assert gcd(4, 6) == 2"),
        ("def sort(xs):\n    xs.sort()", "xs = [3, 1]\nsort(xs)\nassert xs == [1, 3]"),
        ("def turn(m):\n    m[0][0], m[1][1] = m[1][1], m[0][0]", "m = [[1, 2], [3, 4]]\nr = m[0]\nturn(m)\n"
         "assert m == [[4, 2], [3, 1]]\nassert r == [4, 2]"),
        ("def fill(d, *, more):\n    more['a'] = d", "d = {}\nfill(1, more=d)\nassert d == {'a': 1}"),
        ("def count():\n    n = 0\n    while True:\n        yield n\n        n += 1",
         "c = count()\nassert [next(c), next(c)] == [0, 1]\nassert next(c) == 2"),
        ("def squares(n):\n    return (x * x for x in range(n))", "assert list(squares(3)) == [0, 1, 4]\n"
         "assert sum(squares(3)) == 5"),
        ("def adder(n):\n    return lambda x: x + n", "assert adder(2)(3) == 5"),
        ("def apply(f, xs):\n    return [f(x) for x in xs]", "assert apply(lambda x: x + 1, [1, 2]) == [2, 3]\n"
         "assert apply(str, [1]) == ['1']\nassert apply(abs, [-1]) == [1]"),
        ("def first(xs):\n    return next(xs)",
         "assert first(iter([5, 6])) == 5\nassert first(x for x in 'ab') == 'a'"),
        ("def twice(f):\n    return lambda x: f(f(x))", "assert twice(lambda x: x + 1)(0) == 2"),
        ("def check_it(x):\n    raise ValueError('no')",
         "try:\n    check_it(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'no'"),
        ("class Odd(KeyError):\n    pass\ndef check_it(x):\n    raise Odd(x)",
         "try:\n    check_it(1)\n    assert False\nexcept KeyError as e:\n    assert e.args == (1,)"),
        ("from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef point():\n    return P(1, 2)",
         "assert point() == (1, 2)\nassert point().x == 1"),
        ("from fractions import Fraction\ndef third():\n    return Fraction(1, 3)", "assert third() == Fraction(1, 3)\n"
         "assert third() + 1 == Fraction(4, 3)"),
        ("def big(n):\n    return 7 ** n", "assert big(9000) == 7 ** 9000"),
        ("def both(x):\n    return {1, 2}, frozenset('a'), b'x', 1j, None, True", "assert both(0) == "
         "({1, 2}, frozenset('a'), b'x', 1j, None, True)\nassert both(0)[5] is True"),
        ("from collections import Counter, defaultdict, deque, OrderedDict\ndef some(t):\n    d = defaultdict(list)\n"
         "    d['a'].append(1)\n    return Counter(t), d, deque([1]), OrderedDict(a=1)",
         "assert some('aab') == (Counter('aab'), {'a': [1]}, deque([1]), {'a': 1})\n"
         "assert some('aab')[0].most_common(1) == [('a', 2)]"),
        ("import datetime\ndef day(n):\n    return datetime.date(2024, 1, n)",
         "assert day(2) == datetime.date(2024, 1, 2)"),
        ("import numpy as np\ndef ones(n):\n    return np.ones((n, n))", "assert (ones(2) == np.ones((2, 2))).all()\n"
         "assert ones(2).shape == (2, 2)\nassert np.allclose(ones(2).sum(), 4)"),
        ("def swap(p):\n    return p._replace(x=p.y, y=p.x)",
         "import collections\nP = collections.namedtuple('P', 'x y')\n"
         "assert swap(P(1, 2)) == P(2, 1)\nassert swap(swap(P(1, 2))).x == 1"),
        ("def last(a):\n    return a[-1]", "import numpy as np\nassert last(np.array([1.5, 2.5])) == 2.5"),
        ("SIZE = 3\ndef size():\n    return SIZE", "assert SIZE == 3 and size() == 3"),
        ("class Solution:\n    def area(self, r):\n        return 3.0 * r * r", "assert Solution().area(2) == 12.0"),
        ("class Stack:\n    def __init__(self):\n        self.items = []\n    def push(self, x):\n"
         "        self.items.append(x)\n        return self\n    def pop(self):\n        return self.items.pop()\n"
         "    def __len__(self):\n        return len(self.items)",
         "s = Stack()\ns.push(1).push(2)\nassert s.pop() == 2\nassert len(s) == 1\nassert s.items == [1]"),
        ("from enum import Enum\nclass Color(Enum):\n    RED = 1\ndef name(c):\n    return c.name",
         "assert name(Color.RED) == 'RED'\nassert Color.RED.value == 1\nassert Color.RED is Color.RED"),
        ("def area(r):\n    print('x' * 1000)\n    return 12.0", "assert area(2) == 12.0"),
        ("def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)", "assert f(900) == 900"),
    ],
)  # fmt: skip
def test_what_is_right_passes_apart(runner: CodeRunner, answer: str, tests: str) -> None:
    assert runner.judge_source(answer, json.dumps({"test": tests}), "") == Outcome("correct", "passed")


POINT = """
class Point:
    def __init__(self, x): self.x = x
    def __eq__(self, other): return self.x == other.x
    def __add__(self, other): return Point(self.x + other.x)
    def __hash__(self): return hash(self.x)
"""
TREE = "class Tree:\n    def __init__(self, left=None):\n        self.left = left\n"


@pytest.mark.parametrize(
    ("answer", "tests", "prompt"),
    [
        (POINT, "assert Point(1) + Point(2) == Point(3)", "Write a class Point."),
        (POINT, "assert len({Point(1), Point(1)}) == 1", "Write a class Point."),
        (POINT, "p = Point(1)\nassert p.x == 1\nassert isinstance(p, Point)", ""),
        ("class Bad(Exception):\n    pass\ndef f():\n    raise Bad",
         "try:\n    f()\nexcept Bad as e:\n    assert Bad.args",
         "It raises an exception of class Bad."),
        ("def show():\n    print('hi')", "import io, contextlib\nout = io.StringIO()\n"
         "with contextlib.redirect_stdout(out):\n    show()\nassert out.getvalue() == 'hi\\n'", ""),
        ("def found(p, t):\n    return p.findall(t)",
         "import re\nassert found(re.compile('a'), 'aba') == ['a', 'a']", ""),
        ("def depth(t):\n    return 0 if t is None else 1 + depth(t.left)", "assert depth(Tree(Tree())) == 2",
         f"```python\n{TREE}\ndef depth(t):\n    '''Levels.'''\n```"),
    ],
)  # fmt: skip
def test_tests_of_objects_run_beside_the_answer_and_are_counted_apart(
    runner: CodeRunner, answer: str, tests: str, prompt: str
) -> None:
    assert runner.judge_source(answer, json.dumps({"test": tests}), prompt) == Outcome("correct", "passed_together")
    broken = answer.replace("self.x == other.x", "False").replace("class Bad(Exception)", "class Bad(int)")
    broken = (
        broken.replace("'hi'", "'ho'")
        .replace("1 + depth", "2 + depth")
        .replace("self.x = x", "self.y = x")
        .replace("findall", "search")
    )
    assert runner.judge_source(broken, json.dumps({"test": tests}), prompt).verdict == "wrong"


CLAIMS = [
    "raise ModuleNotFoundError(\"No module named 'gensim'\", name='gensim')",
    "raise ImportError('gensim')",
    "import a_module_that_nobody_wrote",
    "def area(r):\n    raise ModuleNotFoundError('gensim')",
    "def area(r):\n    import nowhere_to_be_found",
    "'import gensim'\nraise ModuleNotFoundError('gensim')",
    "raise SyntaxError('tests')",
    "class bad_tests(Exception):\n    pass\nraise bad_tests",
    'import os\nos.write(4, b\'{"reason": "bad_tests", "value": null}\')\nos._exit(0)',
    "import numpy\nraise ModuleNotFoundError('numpy')",
]


@pytest.mark.parametrize("answer", CLAIMS)
def test_no_answer_claims_that_it_cannot_be_checked(runner: CodeRunner, answer: str) -> None:
    assert runner.judge_source(answer, "assert area(2) == 12.0", "").verdict == "wrong"


def test_a_student_that_claims_it_loses_its_question_and_not_the_run(runner: CodeRunner) -> None:
    row = {"prompt": "", "tests": "assert area(2) == 12.0"}
    asked = Verified("code", "prompt", "answer")
    with Verifier(5.0) as verifier:
        for answer in CLAIMS[:4]:
            assert grade.judge(verifier, "task 't', question 1", asked, row, f"```python\n{answer}\n```") == "wrong"


def test_a_package_that_exists_but_is_not_installed_is_no_mistake(
    runner: CodeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is known, imported and missing is seen from outside."""
    if code_names.is_installed("gensim"):
        pytest.skip("gensim is installed")
    missing = Outcome("unchecked", "missing_module")
    assert runner.judge_source(f"import gensim\n{RIGHT}", CLOSE, "") == missing
    assert runner.judge_source(f"from gensim.models import x\n{RIGHT}", CLOSE, "") == missing
    assert runner.judge_source(RIGHT, f"import gensim\n{CLOSE}", "") == missing
    assert (
        runner.judge_source(f"try:\n    import gensim\nexcept ImportError:\n    pass\n{RIGHT}", CLOSE, "").verdict
        == "correct"
    )
    assert (
        runner.judge_source(f"try:\n    import gensim\nexcept ImportError:\n    pass\n{WRONG}", CLOSE, "").verdict
        == "wrong"
    )


def test_tests_that_are_no_python_are_found_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "find", lambda: pytest.fail("a sandbox was looked for"))
    assert CodeRunner(1.0).judge_source(RIGHT, "assert area(1)\nreturn 3", "") == Outcome("unchecked", "bad_tests")


SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT", "SIGXCPU", "SIGSTOP", "SIGABRT", "SIGUSR1", "SIGALRM")


@pytest.mark.parametrize("signal", SIGNALS)
def test_signals_to_the_runner_and_the_grader_end_as_wrong(signal: str) -> None:
    """Process 1 gets none of them, and a grader that was shot has not said that anything passed."""
    runner = isolated_runner(2.0)
    aim = (
        f"import os, signal\nfor pid in [1, *range(2, os.getpid())]:\n    try:\n        os.kill(pid, signal.{signal})\n"
    )
    answer = f"{aim}    except OSError:\n        pass\n{RIGHT}"
    assert runner.judge_source(answer, CLOSE, "").verdict == "wrong"


def test_a_signal_to_process_1_alone_does_nothing(runner: CodeRunner) -> None:
    answer = "".join(f"import os, signal\nos.kill(1, signal.{name})\n" for name in SIGNALS)
    assert runner.judge_source(answer + RIGHT, CLOSE, "") == Outcome("correct", "passed")


CALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    libc.syscall.restype = ctypes.c_long
    return libc.syscall(*map(ctypes.c_long, numbers))
grader = [pid for pid in range(2, os.getpid())]
machine = os.uname().machine
"""


@pytest.mark.parametrize(
    ("what", "numbers", "arguments"),
    [
        ("ptrace: attach", (101, 117), "16, pid, 0, 0"),
        ("ptrace: seize", (101, 117), "0x4206, pid, 0, 0"),
        ("process_vm_readv", (310, 270), "pid, 0, 0, 0, 0, 0"),
        ("process_vm_writev", (311, 271), "pid, 0, 0, 0, 0, 0"),
        ("pidfd_getfd", (438, 438), "os.pidfd_open(pid), 0, 0"),
        ("prlimit of another", (302, 261), "pid, 0, 0, 0"),
        ("kcmp", (312, 272), "pid, os.getpid(), 0, 0, 0"),
        ("shmget", (29, 194), "0, 1 << 20, 0o1600"),
        ("semget", (64, 190), "0, 1, 0o1600"),
        ("msgget", (68, 186), "0, 0o1600"),
        ("mq_open", (240, 180), "0, 0o102, 0o600, 0"),
        ("memfd_create", (319, 279), "id(b'x') + bytes.__basicsize__ - 1, 0"),
        ("memfd_secret", (447, 447), "0"),
        ("keyctl: read", (250, 219), "11, -3, 0, 0"),
        ("add_key", (248, 217), "0, 0, 0, 0, -3"),
        ("request_key", (249, 218), "0, 0, 0, 0"),
        ("unshare a user namespace", (272, 97), "0x10000000"),
        ("clone into a user namespace", (56, 220), "0x10000011, 0, 0, 0, 0"),
        ("clone3", (435, 435), "0, 0"),
        ("setns", (308, 268), "0, 0"),
        ("mount", (165, 40), "0, 0, 0, 0, 0"),
        ("bpf", (321, 280), "0, 0, 0"),
        ("io_uring_setup", (425, 425), "1, 0"),
        ("userfaultfd", (323, 282), "0"),
        ("perf_event_open", (298, 241), "0, 0, -1, -1, 0"),
        ("a vsock", (41, 198), "40, 1, 0"),
        ("a packet socket", (41, 198), "17, 3, 0"),
        ("netlink", (41, 198), "16, 3, 0"),
        ("a call of tomorrow", (999, 999), "0"),
    ],
)
def test_system_calls_that_no_answer_needs_are_refused(
    runner: CodeRunner, what: str, numbers: tuple[int, int], arguments: str
) -> None:
    """By the filter, not for lack of a target: EPERM, EAFNOSUPPORT, or ENOSYS as on a kernel without the call."""
    source = (
        f"{CALLS}pid = os.getppid() or 1\nnumber = {dict(zip(('x86_64', 'aarch64'), numbers, strict=True))}[machine]\n"
        f"result = call(number, {arguments})\nprint(result, ctypes.get_errno() in (1, 38, 97))"
    )
    job = {"mode": "stdin", "code": source, "inputs": [""]}
    (result,) = runner.sandbox.run(job, 5.0, runner.limits)
    assert (result["reason"], result["output"]) == (None, "-1 True\n"), what  # type: ignore[index]


def test_no_process_in_there_can_be_traced_or_dumped(runner: CodeRunner) -> None:
    """PR_GET_DUMPABLE, of a fork of the runner, which has it from there."""
    job = {"mode": "stdin", "code": "import ctypes\nprint(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))", "inputs": [""]}
    assert runner.sandbox.run(job, 5.0, runner.limits) == [{"reason": None, "output": "0\n", "value": None}]


def test_calls_that_programs_need_work(runner: CodeRunner) -> None:
    source = """
import asyncio, concurrent.futures, multiprocessing, os, queue, resource, select, socket, sqlite3, subprocess, tempfile
import threading, time, zipfile, mmap, signal, random, shutil
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    print(sum(pool.map(abs, [-1, -2, -3])))
async def wait():
    await asyncio.sleep(0)
    return 1
print(asyncio.run(wait()))
print(subprocess.run(["/bin/echo", "x"], capture_output=True).stdout)
print(subprocess.run("exit 3", shell=True).returncode)
lock = multiprocessing.Lock()
process = multiprocessing.Process(target=lock.acquire)
process.start(); process.join()
print(process.exitcode, lock.acquire(timeout=0.01))
with tempfile.TemporaryDirectory() as folder:
    open(folder + "/a", "w").write("x")
    shutil.copytree(folder, "/tmp/copy")
    os.rename("/tmp/copy/a", "/tmp/copy/b")
    print(os.listdir("/tmp/copy"), os.stat("/tmp/copy/b").st_size)
a, b = socket.socketpair()
a.send(b"y"); print(b.recv(9), select.select([a], [], [], 0)[0])
print(sqlite3.connect(":memory:").execute("select 1").fetchone())
print(len(mmap.mmap(-1, 4096)), resource.getrlimit(resource.RLIMIT_CORE))
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.1)
import numpy
print(numpy.linalg.inv(numpy.eye(2)).sum(), os.path.realpath("/tmp"), os.getcwd())
"""
    job = {"mode": "stdin", "code": source, "inputs": [""]}
    (result,) = runner.sandbox.run(job, 20.0, runner.limits)
    assert result["reason"] is None, result  # type: ignore[index]
    assert result["output"].split("\n") == [  # type: ignore[index, union-attr]
        "6", "1", "b'x\\n'", "3", "0 False", "['b'] 1", "b'y' []", "(1,)", "4096 (0, 0)", "alarm", "2.0 /tmp /tmp", "",
    ]  # fmt: skip


def test_files_and_inodes_are_bounded_everywhere(runner: CodeRunner) -> None:
    source = """
import os
def many(folder):
    n = 0
    try:
        while n < 10**5:
            open(f"{folder}/{n}", "w").close()
            n += 1
    except OSError as e:
        return n, e.errno
    return n, 0
def much(path):
    n = 0
    try:
        for part in range(50):
            with open(f"{path}{part}", "wb") as file:
                for _ in range(15):
                    n += file.write(bytes(2**20))
    except OSError as e:
        return n >> 20
    return -1
print(many("/dev/shm"), many("/tmp"))
for folder in ("/dev/shm", "/tmp"):
    for n in range(10**5):
        if not os.path.exists(f"{folder}/{n}"):
            break
        os.unlink(f"{folder}/{n}")
print(much("/dev/shm/"), much("/tmp/"))
for path in ("/dev/x", "/x", "/usr/x", "/dev/null/x", "/stepsift/x", "/proc/x", "/run/x", "/var/tmp/x"):
    try:
        open(path, "w")
        print("written", path)
    except OSError:
        pass
"""
    (result,) = runner.sandbox.run({"mode": "stdin", "code": source, "inputs": [""]}, 20.0, runner.limits)
    assert result["reason"] is None, result  # type: ignore[index]
    one, two = result["output"].splitlines()  # type: ignore[index, union-attr]
    # 28: no space left; a few are folders, where the interpreter lies below /tmp.
    (shared, _), (work, _) = pairs = [tuple(map(int, pair)) for pair in re.findall(r"\((\d+), (\d+)\)", one)]
    assert [code for _, code in pairs] == [28, 28]
    assert sandbox.SHARED_INODES - 9 < shared < sandbox.SHARED_INODES
    assert sandbox.WORK_INODES - 99 < work < sandbox.WORK_INODES
    assert [int(n) for n in two.split()] <= [16, 64]
    assert min(int(n) for n in two.split()) > 0


def test_what_the_runner_says_is_bounded_and_visible(
    runner: CodeRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    noise = r"printf '\033[2Jno\n::error::x\n' >&2; head -c 3000000 /dev/zero | tr '\0' 'y' >&2; exit 1"
    broken = CodeRunner(1.0)
    monkeypatch.setattr(sandbox, "find", lambda: sandbox.Sandbox("bubblewrap", ("/bin/sh", "-c", noise)))
    with caplog.at_level(logging.WARNING):
        assert broken.judge_source(RIGHT, CLOSE, "") == Outcome("unchecked", "sandbox")
    (record,) = caplog.records
    message = record.getMessage()
    assert "\x1b" not in message and "\n" not in message and "no" in message
    assert len(message) < sandbox.MESSAGE_BYTES + 200


def test_a_runner_that_dies_under_an_answer_makes_it_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a sandbox that never started leaves an answer unchecked."""
    for line, outcome in (("echo started", ("wrong", "crash")), ("echo other", ("unchecked", "sandbox"))):
        monkeypatch.setattr(sandbox, "find", lambda line=line: sandbox.Sandbox("bubblewrap", ("/bin/sh", "-c", line)))
        assert CodeRunner(1.0).judge_source(RIGHT, CLOSE, "") == Outcome(*outcome)


def test_a_program_reports_nothing_that_saves_it() -> None:
    from stepsift.verify.code.judge import _reported

    for reason in (*REASONS, "passed", "nonsense", ""):
        assert REASONS[_reported(reason, "x = 1")] in ("wrong", "timeout")

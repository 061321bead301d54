"""Proofs by the SMT solver on a narrow unit, and that planted bugs are refuted with a true counterexample."""

import re

import numpy as np
import pytest
from mxdot.golden import formats, mac
from mxdot.rtl.dot import DotParameters
from mxdot.verif import formal, planted

NARROW = DotParameters(("e2m1",), ("e2m1",), lanes=1, block=1, scale=None)


def test_every_e2m1_product_plus_every_addend_is_proved() -> None:
    verdicts = list(formal.product(NARROW, limit=300))
    assert [v.proved for v in verdicts] == [True], verdicts


# A product of two e2m1 moves no finite C to 2^128: there, a unit that does not see overflow is a right one.
@pytest.mark.parametrize("bug", sorted(planted.ARITHMETIC.keys() - {"overflow not seen"}))
def test_a_planted_bug_is_refuted(bug: str) -> None:
    wrong = planted.with_step(NARROW, *planted.ARITHMETIC[bug])
    (verdict,) = formal.product(wrong, limit=300)
    assert verdict.proved is False
    a, b, c, result = (int(word, 16) for word in re.findall(r"0x([0-9a-f]+)", verdict.example))
    codes = [np.array([[code]], np.uint8) for code in (a, b)]
    addend = np.array([c], np.uint32).view(np.float32)
    right = mac(*codes, addend, formats=("e2m1", "e2m1")).view(np.uint32)[0]
    assert int(right) != result


def test_out_of_time_is_unknown_and_not_proved() -> None:
    wide = DotParameters(("e4m3",), ("e4m3",), lanes=1, block=1, scale=None)
    assert formal.prove(wide, "product", "", "all", limit=1).proved is None


def test_splits_of_a_format_are_all_of_it() -> None:
    names = {
        name: [case for case, _ in formal.splits(formats.element(name), "a")] for name in formats.ELEMENTS
    }
    assert names["e4m3"] == [str(field) for field in range(16)] and len(names["e5m2"]) == 32
    assert names["e2m1"] == names["int8"] == names["hif8"] == ["all"]

"""The golden model: what every result of mxdot must be, bit for bit, in NumPy. See docs/numerics.md."""

from mxdot.golden import formats, profiles, recipes
from mxdot.golden.block import BlockTensor, quantize
from mxdot.golden.dot import dot
from mxdot.golden.mac import mac
from mxdot.golden.matmul import matmul

__all__ = ["BlockTensor", "dot", "formats", "mac", "matmul", "profiles", "quantize", "recipes"]
